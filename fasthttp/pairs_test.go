package fasthttp

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func pairBody(code, message, role string) string {
	return fmt.Sprintf(`{"code_hash":%q,"msg":%q,"role":%q}`, code, message, role)
}

// pair opens a side of a pair and returns the pair's id.
func (g *rig) pair(code, message, role string, headers ...string) (id string) {
	g.Helper()
	id = g.call("POST", "/v1/pair", "", pairBody(code, message, role), headers...).want(g, 201).field(g, "pair_id").(string)
	g.tokens.add(id)
	return id
}

// look expects what a side finds.
func (g *rig) look(id, role string, message, bootstrap any) {
	g.Helper()
	r := g.call("GET", "/v1/pair/"+id+"?as_role="+role, "", nil).want(g, 200)
	if r.field(g, "peer_msg") != message || r.field(g, "peer_bootstrap") != bootstrap {
		g.Errorf("%s finds %s", role, r.body)
	}
}

func TestPair_TwoSides(t *testing.T) {
	g := newRig(t, logged)
	id := g.pair("c0de", "from the host", "host")
	g.look(id, "host", nil, nil)
	g.look(id, "guest", "from the host", nil)
	g.call("POST", "/v1/pair", "", pairBody("c0de", "again", "host")).want(t, 409)
	if other := g.pair("c0de", "", "guest"); other != id {
		t.Errorf("the ids are %s and %s", id, other)
	}
	g.call("POST", "/v1/pair", "", pairBody("c0de", "again", "guest")).want(t, 409)
	g.look(id, "host", "", nil)
	for _, role := range []string{"host", "guest", "host"} {
		r := g.call("POST", "/v1/pair/"+id+"/bootstrap", "", `{"role":"`+role+`","sealed":"by `+role+`"}`).want(t, 201)
		if r.body != `{"ok":true}` {
			t.Errorf("the reply is %s", r.body)
		}
	}
	g.look(id, "host", "", "by guest")
	g.look(id, "guest", "from the host", "by host")
	g.call("HEAD", "/v1/pair/"+id+"?as_role=host", "", nil).want(t, 200)
	g.call("POST", "/v1/pair/abandon", "", `{"code_hash":"c0de"}`).want(t, 204)
	g.call("POST", "/v1/pair/abandon", "", `{"code_hash":"c0de"}`).want(t, 204)
	g.call("GET", "/v1/pair/"+id+"?as_role=host", "", nil).want(t, 404)
	if again := g.pair("c0de", "m", "host"); again == id {
		t.Error("an id came back")
	}
}

func TestPair_Refusals(t *testing.T) {
	g := newRig(t, logged)
	id := g.pair("c0de", "m", "host")
	long, limit := strings.Repeat("x", 8193), strings.Repeat("x", 8192)
	none := strings.Repeat("0", 32)
	for _, row := range []struct {
		path, body string
		status     int
	}{
		{"/v1/pair", "", 400}, {"/v1/pair", "{", 400}, {"/v1/pair", "null", 422}, {"/v1/pair", "{}", 422}, {"/v1/pair", "[]", 422},
		{"/v1/pair", `{"code_hash":"c","msg":"m"}`, 422}, {"/v1/pair", `{"code_hash":"c","role":"host"}`, 422}, {"/v1/pair", `{"msg":"m","role":"host"}`, 422},
		{"/v1/pair", `{"code_hash":7,"msg":"m","role":"host"}`, 422}, {"/v1/pair", `{"code_hash":"c","msg":null,"role":"host"}`, 422},
		{"/v1/pair", pairBody("c", "m", "Host"), 400}, {"/v1/pair", pairBody("c", "m", ""), 400}, {"/v1/pair", pairBody("", "m", "host"), 400},
		{"/v1/pair", pairBody(long, "m", "host"), 413}, {"/v1/pair", pairBody("c", long, "host"), 413}, {"/v1/pair", pairBody(limit, limit, "host"), 201},
		{"/v1/pair", pairBody("c", strings.Repeat("x", 200_000), "host"), 413},
		{"/v1/pair/" + none + "/bootstrap", `{"role":"host","sealed":"s"}`, 404}, {"/v1/pair/x/bootstrap", `{"role":"host","sealed":"s"}`, 404},
		{"/v1/pair/" + none + "/bootstrap", `{"role":"both","sealed":"s"}`, 404}, {"/v1/pair/" + none + "/bootstrap", `{`, 400},
		{"/v1/pair/" + id + "/bootstrap", `{"role":"both","sealed":"s"}`, 400}, {"/v1/pair/" + id + "/bootstrap", `{"role":"host"}`, 422},
		{"/v1/pair/" + id + "/bootstrap", `{"sealed":"s"}`, 422}, {"/v1/pair/" + id + "/bootstrap", `null`, 422},
		{"/v1/pair/" + id + "/bootstrap", `{"role":"host","sealed":"` + long + `"}`, 413}, {"/v1/pair/" + id + "/bootstrap", `{"role":"host","sealed":"` + limit + `"}`, 201},
		{"/v1/pair/abandon", `{`, 400}, {"/v1/pair/abandon", `{}`, 422}, {"/v1/pair/abandon", `{"code_hash":"nobody's"}`, 204}, {"/v1/pair/abandon", `{"code_hash":""}`, 204},
	} {
		if r := g.call("POST", row.path, "", row.body); r.status != row.status {
			t.Errorf("%s %.60s: %d, want %d: %s", row.path, row.body, r.status, row.status, r.body)
		}
	}
	// The id first, then the role.
	for query, status := range map[string]int{
		none + "?as_role=host": 404, none: 404, none + "?as_role=x": 404, "nonsense": 404, strings.ToUpper(id) + "?as_role=host": 404,
		id: 400, id + "?as_role=": 400, id + "?as_role=both": 400, id + "?role=host": 400, id + "/x?as_role=host": 404, id + "/?as_role=host": 404, "?as_role=host": 404,
	} {
		if r := g.call("GET", "/v1/pair/"+query, "", nil); r.status != status {
			t.Errorf("%s: %d, want %d: %s", query, r.status, status, r.body)
		}
	}
	g.call("POST", "/v1/pair", "", pairBody("c", "m", "host"), "Content-Type", "").want(t, 415)
	for _, path := range []string{"/v1/pair", "/v1/pair/" + id + "/bootstrap", "/v1/pair/abandon"} {
		g.call("GET", path, "", nil).want(t, 405)
	}
}

// A pair that nobody touches goes. The relay's own clock is real, so the time is
// short here.
func TestPair_IdleOnesGo(t *testing.T) {
	const idle = 500 * time.Millisecond
	g := newRig(t, func(o *rigOptions) { o.desk.PairIdle = idle })
	id := g.pair("c0de", "m", "host")
	time.Sleep(idle + 50*time.Millisecond)
	if n := g.desk.Pairs.Len(); n != 0 {
		t.Errorf("%d pairs are open", n)
	}
	g.call("GET", "/v1/pair/"+id+"?as_role=guest", "", nil).want(t, 404)
}

func TestPair_Bounds(t *testing.T) {
	few := func(o *rigOptions) { o.desk.MaxPairs = 8 }
	g := newRig(t, few, manyClients, logged, unlimited)
	n := 0
	from := func(client int) reply {
		t.Helper()
		n++
		return g.call("POST", "/v1/pair", "", pairBody(fmt.Sprint(n), "m", "host"), "X-Forwarded-For", fmt.Sprint("192.0.2.", client))
	}
	from(1).want(t, 201)
	from(1).want(t, 201)
	if r := from(1).want(t, 503); r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "your address") {
		t.Errorf("over the share: %v %s", r.header, r.body)
	}
	for i := range 6 {
		from(2+i/2).want(t, 201)
	}
	if r := from(9).want(t, 503); r.header.Get("Retry-After") == "" || strings.Contains(r.body, "your address") {
		t.Errorf("over all: %v %s", r.header, r.body)
	}
	g.refused("pair_share", 1)
	g.refused("pairs", 1)
	// The other side of a pair takes no place.
	g.call("POST", "/v1/pair", "", pairBody("1", "m", "guest"), "X-Forwarded-For", "192.0.2.9").want(t, 201)

	local := newRig(t, few)
	for i := range 8 {
		local.pair(fmt.Sprint(i), "m", "host")
	}
	local.call("POST", "/v1/pair", "", pairBody("more", "m", "host")).want(t, 503)
}

// Many pairs at once: one id for both sides, one winner for each role.
func TestPair_ManyAtOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	var all sync.WaitGroup
	for i := range 20 {
		code := fmt.Sprint("code", i)
		ids := make(chan string, 4)
		for j := range 4 {
			role := []string{"host", "guest"}[j%2]
			all.Go(func() {
				r, err := g.tryCall("POST", "/v1/pair", "", pairBody(code, "m", role))
				switch {
				case err != nil:
					t.Error(err)
				case r.status == 201:
					ids <- r.field(t, "pair_id").(string)
				case r.status != 409:
					t.Errorf("status %d: %s", r.status, r.body)
				}
				if j == 0 {
					g.call("GET", "/v1/pair/"+strings.Repeat("0", 32)+"?as_role=host", "", nil).want(t, 404)
				}
			})
		}
		defer func() {
			if len(ids) != 2 {
				t.Errorf("%s: %d sides have an id", code, len(ids))
				return
			}
			if one, other := <-ids, <-ids; one != other {
				t.Errorf("%s: %s and %s for two sides", code, one, other)
			}
		}()
	}
	all.Wait()
}

// What is open and how often pairs were opened is in the statistics, over a restart
// too.
func TestPair_Statistics(t *testing.T) {
	g := newRig(t)
	stats := func() (open, opens any) {
		t.Helper()
		r := g.call("GET", "/stats.json", "", nil)
		return r.field(t, "pair_slots_open"), r.field(t, "pair_opens_total")
	}
	for i, role := range []string{"host", "guest", "host"} {
		g.call("POST", "/v1/pair", "", fmt.Sprintf(`{"code_hash":"c%d","msg":"m","role":%q}`, i/2, role)).want(t, 201)
	}
	if open, opens := stats(); open != 2.0 || opens != 2.0 {
		t.Errorf("%v open, %v opened, want 2 and 2", open, opens)
	}
	g.restart()
	if open, opens := stats(); open != 0.0 || opens != 2.0 {
		t.Errorf("after a restart: %v open, %v opened, want 0 and 2", open, opens)
	}
}
