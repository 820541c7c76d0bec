package fasthttp

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow/token"
)

// further makes a further token of the slot and returns its text and id.
func (m mailbox) further(as, body string) (text, id string) {
	m.Helper()
	r := m.call("POST", "/v1/slot/"+m.id+"/tokens", as, body).want(m, 201)
	return r.field(m, "token").(string), r.field(m, "token_id").(string)
}

// needs checks a 403 that names the right that is missing, "" for a wrong token.
func (r reply) needs(t testing.TB, what, right string) {
	t.Helper()
	if r.status != 403 || (right != "") != strings.Contains(r.body, `"needs":"`+right+`"`) || right == "" && strings.Contains(r.body, "needs") {
		t.Errorf("%s: %d %s, want 403 that needs %q", what, r.status, r.body, right)
	}
}

// What each kind of token may do, route by route.
func TestTokens_Rights(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.fill(1)
	post, _ := m.further(m.owner, `{"may":["post"]}`)
	read, _ := m.further(m.owner, `{"may":["read"],"note":"n","ttl_seconds":7200}`)
	both, _ := m.further(m.owner, `{"may":["read","post"],"ttl_seconds":null}`)
	ticket, _ := m.further(m.token, `{"may":["read"],"ttl_seconds":3600}`)
	slot, events := "/v1/slot/"+m.id, "/v1/events/"+m.id
	const p, r, s, o = "post", "read", "slot", "owner"
	rights := map[string]string{m.token: p + r + s, m.owner: p + r + s + o, post: p, read: r, both: p + r, ticket: r}
	n := 0
	for _, row := range []struct {
		method, path, body, needs string
		status                    int
	}{
		{"POST", events, `{"event":{"n":%d}}`, p, 201},
		{"GET", events, "", r, 200},
		{"HEAD", events, "", r, 200},
		{"GET", slot + "/state", "", r, 200},
		{"POST", slot + "/responder-health", `{"status":"up","set_at":"now"}`, s, 200},
		{"GET", slot + "/tokens", "", o, 200},
		{"HEAD", slot + "/tokens", "", o, 200},
		{"POST", slot + "/tokens", `{"may":["read"],"ttl_seconds":60}`, s, 201},
		{"DELETE", slot + "/tokens/0123456789abcdef", "", o, 404},
		{"DELETE", slot + "/tokens/nonsense", "", o, 404},
	} {
		for token, may := range rights {
			var body any
			if n++; row.body != "" {
				body = strings.Replace(row.body, "%d", fmt.Sprint(n), 1)
			}
			got := g.call(row.method, row.path, token, body)
			if strings.Contains(may, row.needs) {
				if got.status != row.status {
					t.Errorf("%s %s as %s: %d %s, want %d", row.method, row.path, may, got.status, got.body, row.status)
				}
			} else if row.method == "HEAD" {
				if got.status != 403 {
					t.Errorf("%s %s as %s: %d", row.method, row.path, may, got.status)
				}
			} else {
				got.needs(t, row.method+" "+row.path+" as "+may, row.needs)
			}
		}
	}
	for token, may := range rights {
		if s, got := (mailbox{g, m.id, token, ""}).tryStream("?since=", ""); strings.Contains(may, r) {
			got.want(t, 200)
			s.close()
		} else {
			got.needs(t, "stream as "+may, r)
		}
		if !strings.Contains(may, o) {
			g.call("POST", slot+"/tokens/rotate", token, "{}").needs(t, "rotate as "+may, o)
			g.call("DELETE", slot, token, nil).needs(t, "delete as "+may, o)
		}
	}
	if metric(g, `cowrelay_token_rights_refused_total{needs="owner"}`) < 20 || metric(g, `cowrelay_token_rights_refused_total{needs="read"}`) == 0 {
		t.Error("missing rights are not counted")
	}
	for _, needs := range token.Names() {
		g.refused("right_"+needs, metric(g, `cowrelay_token_rights_refused_total{needs="`+needs+`"}`))
	}
	// A post-only token's events are there, and it can't read them.
	g.call("POST", events, post, `{"event":{"event_id":"mine"}}`).want(t, 201)
	g.call("GET", events, post, nil).needs(t, "pull with a post-only token", r)
	if page := m.pull("?limit=1000"); page[len(page)-1] != `{"event_id":"mine"}` {
		t.Errorf("the last event is %s", page[len(page)-1])
	}
	// Another slot knows none of them, over a restart too.
	other := g.allocate()
	g.restart()
	for token, may := range rights {
		g.call("GET", "/v1/events/"+other.id, token, nil).needs(t, "another slot as "+may, "")
		want := 403
		if strings.Contains(may, r) {
			want = 200
		}
		g.call("GET", events, token, nil).want(t, want)
	}
	g.call("DELETE", slot, m.owner, nil).want(t, 204)
	g.call("GET", slot+"/tokens", m.owner, nil).want(t, 404)
	g.eventually("the records of a removed slot's tokens are dropped", func() bool {
		n := 0
		err := g.store.Records().List(token.Prefix, func(string, []byte, uint64) error { n++; return nil })
		return err == nil && n == 0
	})
}

// What a request for a token may say.
func TestTokens_Make(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	path := "/v1/slot/" + m.id + "/tokens"
	for body, status := range map[string]int{
		`{}`: 422, `null`: 422, `[]`: 422, `{"may":[]}`: 422, `{"may":"read"}`: 422, `{"may":["owner"]}`: 422, `{"may":["read","slot"]}`: 422, `{"may":["Read"]}`: 422, `{"may":[1]}`: 422, `{"may":null}`: 422,
		`{"may":["read"],"ttl_seconds":0}`: 422, `{"may":["read"],"ttl_seconds":-1}`: 422, `{"may":["read"],"ttl_seconds":1.5}`: 422, `{"may":["read"],"ttl_seconds":1e3}`: 422, `{"may":["read"],"ttl_seconds":"60"}`: 422,
		`{"may":["read"],"ttl_seconds":99999999999}`: 422, `{"may":["read"],"ttl_seconds":99999999999999999999}`: 422,
		`{"may":["read"],"note":1}`: 422, `{"may":["read"],"note":"` + strings.Repeat("n", 201) + `"}`: 422,
		`{`: 400, ``: 400, `{"may":["read"]} x`: 400, `{"may":["read"],"note":"` + strings.Repeat("n", 20_000) + `"}`: 413,
		`{"may":["read","read"],"note":"` + strings.Repeat("é", 100) + `","other":1}`: 201, `{"may":["post"],"ttl_seconds":null,"note":null}`: 201,
	} {
		if r := g.call("POST", path, m.owner, body); r.status != status {
			t.Errorf("%.80s: %d %s, want %d", body, r.status, r.body, status)
		}
	}
	g.call("POST", path, m.owner, `{"may":["read"]}`, "Content-Type", "text/plain").want(t, 415)
	before := time.Now().Unix()
	r := g.call("POST", path, m.owner, `{"may":["post","read"],"ttl_seconds":100,"note":"x"}`).want(t, 201)
	if at := int64(r.field(t, "expires_unix").(float64)); at < before+100 || at > before+160 || fmt.Sprint(r.field(t, "may")) != "[post read]" || r.field(t, "note") != "x" {
		t.Error(r.body)
	}
	if r := g.call("POST", path, m.owner, `{"may":["post"]}`).want(t, 201); r.field(t, "expires_unix") != nil {
		t.Error(r.body)
	}
	// The list shows no secret. What was taken back is not on it.
	_, id := m.further(m.owner, `{"may":["post"],"note":"gone"}`)
	if list := g.call("GET", path, m.owner, nil).want(t, 200); len(list.field(t, "tokens").([]any)) != 5 || !strings.Contains(list.body, id) || strings.Contains(list.body, `"token":`) {
		t.Error(list.body)
	}
	g.call("DELETE", path+"/"+id, m.owner, nil).want(t, 204)
	g.call("DELETE", path+"/"+id, m.owner, nil).want(t, 404)
	if list := g.call("GET", path, m.owner, nil).want(t, 200); strings.Contains(list.body, id) {
		t.Error(list.body)
	}
	// The slot token makes tickets alone.
	for body, needs := range map[string]bool{
		`{"may":["read"],"ttl_seconds":3600}`: false, `{"may":["read"],"ttl_seconds":3601}`: true, `{"may":["read"]}`: true,
		`{"may":["post"],"ttl_seconds":60}`: true, `{"may":["read","post"],"ttl_seconds":60}`: true,
	} {
		if r := g.call("POST", path, m.token, body); needs {
			r.needs(t, body, "owner")
		} else {
			r.want(t, 201)
		}
	}
	for _, method := range []string{"PUT", "DELETE"} {
		g.call(method, path, m.owner, nil).want(t, 405)
	}
	g.call("GET", path+"/rotate", m.owner, nil).want(t, 405)
	g.call("GET", path+"/"+id, m.owner, nil).want(t, 405)
	g.call("DELETE", path+"/a/b", m.owner, nil).want(t, 404)
	g.call("POST", path+"/rotate", m.owner, `[]`).want(t, 422)
	g.call("POST", path+"/rotate", m.owner, `{`).want(t, 400)
}

// As many as may be are made, however many ask at once.
func TestTokens_ManyAtOnce(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	path := "/v1/slot/" + m.id + "/tokens"
	var made, tickets, full atomic.Int64
	var wg sync.WaitGroup
	next := make(chan bool, 1250)
	for i := range 1250 {
		next <- i%10 == 0
	}
	close(next)
	for range 32 {
		wg.Go(func() {
			for ticket := range next {
				as, count := m.owner, &made
				if ticket {
					as, count = m.token, &tickets
				}
				r, err := g.tryCall("POST", path, as, `{"may":["read"],"ttl_seconds":600}`)
				switch {
				case err != nil:
					t.Error(err)
				case r.status == 201:
					count.Add(1)
				case r.status == 409:
					full.Add(1)
				default:
					t.Errorf("%d %s", r.status, r.body)
				}
			}
		})
	}
	wg.Wait()
	if made.Load() != 1000 || tickets.Load() != 100 || full.Load() != 150 {
		t.Errorf("%d tokens and %d tickets were made, %d were refused", made.Load(), tickets.Load(), full.Load())
	}
	g.refused("slot_tokens", 125)
	g.refused("slot_tickets", 25)
}

// The tokens of all slots have a bound, and one client a share of it.
func TestTokens_Full(t *testing.T) {
	g := newRig(t, manyClients, unlimited, func(o *rigOptions) { o.store.MemoryBudget = 256 << 10 })
	from := func(m mailbox, client string) (n int, last reply) {
		t.Helper()
		var head []string
		if client != "" {
			head = []string{"X-Forwarded-For", client}
		}
		for n = range 1000 {
			if last = g.call("POST", "/v1/slot/"+m.id+"/tokens", m.owner, `{"may":["post"]}`, head...); last.status != 201 {
				break
			}
		}
		return n, last
	}
	few, r := from(g.allocate(), "192.0.2.1")
	if r.want(t, 503); few == 0 || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "your address") {
		t.Errorf("over the share after %d: %v %s", few, r.header, r.body)
	}
	others, shares := 0, 1.0
	for i := 2; ; i++ {
		n, last := from(g.allocate(), fmt.Sprint("192.0.2.", i))
		if others += n; !strings.Contains(last.want(t, 503).body, "your address") {
			r = last
			break
		}
		shares++
	}
	if r.header.Get("Retry-After") == "" || !strings.Contains(r.body, "as many tokens as it may") || others < few {
		t.Errorf("over all after %d of others: %v %s", others, r.header, r.body)
	}
	g.refused("token_share", shares)
	g.refused("tokens", 1)
}

// Rotation: the old slot token is dead at once, for new requests, streams and long
// polls; all others live on.
func TestTokens_Rotate(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	read, _ := m.further(m.owner, `{"may":["read"]}`)
	old := m.stream("", "")
	byRead, byOwner := mailbox{g, m.id, read, ""}, mailbox{g, m.id, m.owner, ""}
	others := []*sse{byRead.stream("", ""), byOwner.stream("", "")}
	poll := m.longPoll("?wait=25")
	g.eventually("the long poll waits", func() bool { return g.relay.polls.Len() == 1 })
	for _, body := range []any{"{}", nil} {
		was := m.token
		m.token = g.call("POST", "/v1/slot/"+m.id+"/tokens/rotate", m.owner, body).want(t, 201).field(t, "slot_token").(string)
		g.call("GET", "/v1/events/"+m.id, was, nil).needs(t, "the old token", "")
	}
	old.wantEnd()
	(<-poll).needs(t, "the old token's long poll", "")
	if n := metric(g, `cowrelay_streams_closed_total{reason="token"}`); n != 1 {
		t.Errorf("%v streams ended by their token", n)
	}
	if n := metric(g, `cowrelay_long_polls_ended_total{reason="token"}`); n != 1 {
		t.Errorf("%v long polls ended by their token", n)
	}
	m.fill(2)
	for _, s := range others {
		s.want(0, 2)
	}
	g.restart()
	m.pull("")
	g.call("DELETE", "/v1/slot/"+m.id, m.token, nil).needs(t, "delete with the new slot token", "owner")
}

// Revocation and the end of its time end what a token has let in, between frames, on a
// silent slot and on one where events come.
func TestTokens_EndStreams(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for _, busy := range []bool{false, true} {
		for _, how := range []string{"revoked", "expired"} {
			m := g.allocate()
			body := `{"may":["read"]}`
			if how == "expired" {
				body = `{"may":["read"],"ttl_seconds":2}`
			}
			text, id := m.further(m.owner, body)
			began := time.Now()
			reader := mailbox{g, m.id, text, ""}
			s := reader.stream("", "")
			poll := reader.longPoll("?wait=25&since=none")
			stop := make(chan struct{})
			var posts sync.WaitGroup
			if busy {
				posts.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							m.call("POST", "/v1/events/"+m.id, m.token, `{"event":`+eventN(i)+`}`)
						}
					}
				})
				s.want(0, 5)
				(<-poll).want(t, 200)
			}
			if how == "revoked" {
				g.call("DELETE", "/v1/slot/"+m.id+"/tokens/"+id, m.owner, nil).want(t, 204)
			}
			if !busy {
				s.wantEnd()
				(<-poll).needs(t, how, "")
			} else {
				for i := 5; ; i++ { // whole frames, without a gap, to the end
					f, err := s.readFrame()
					if err != nil {
						break
					}
					if f.id != fmt.Sprintf("e%d", i) {
						t.Fatalf("%s: frame %q, want e%d", how, f.id, i)
					}
				}
			}
			if took := time.Since(began); how == "expired" && took > 20*time.Second {
				t.Errorf("the stream of an expired token ended after %v", took)
			}
			close(stop)
			posts.Wait()
			g.call("GET", "/v1/events/"+m.id, text, nil).needs(t, how, "")
			_, r := reader.tryStream("", "")
			r.needs(t, how, "")
		}
	}
	g.eventually("the ends are counted", func() bool { return metric(g, `cowrelay_streams_closed_total{reason="token"}`) == 4 })
}

// A token that is taken back while the body of a post comes lets nothing in.
func TestTokens_RevokedDuringBody(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	text, id := m.further(m.owner, `{"may":["post"]}`)
	w := g.dial()
	event := `{"event":{"n":1}}`
	w.send(fmt.Sprintf("POST /v1/events/%s HTTP/1.1\nHost: x\nAuthorization: Bearer %s\nContent-Type: application/json\nContent-Length: %d\nExpect: 100-continue\n\n", m.id, text, len(event)))
	if line, err := w.br.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") { // it is let in
		t.Fatalf("%q, %v", line, err)
	}
	w.br.ReadString('\n')
	g.call("DELETE", "/v1/slot/"+m.id+"/tokens/"+id, m.owner, nil).want(t, 204)
	w.send(event)
	r, err := w.tryReply("POST")
	if err != nil {
		t.Fatal(err)
	}
	r.needs(t, "a token revoked meanwhile", "")
	if page := m.pull(""); len(page) != 0 {
		t.Errorf("%q was stored", page)
	}
}

// A ticket is taken from the query of pulls and streams, and no other token is.
func TestTokens_Tickets(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.AccessLog = true })
	m := g.allocate()
	m.fill(3)
	events, slot := "/v1/events/"+m.id, "/v1/slot/"+m.id
	ticket, _ := m.further(m.token, `{"may":["read"],"ttl_seconds":3600}`)
	byOwner, id := m.further(m.owner, `{"may":["read"],"ttl_seconds":60}`)
	long, _ := m.further(m.owner, `{"may":["read"],"ttl_seconds":3601}`)
	endless, _ := m.further(m.owner, `{"may":["read"]}`)
	both, _ := m.further(m.owner, `{"may":["read","post"],"ttl_seconds":60}`)
	post, _ := m.further(m.owner, `{"may":["post"],"ttl_seconds":60}`)
	for _, text := range []string{ticket, byOwner} {
		for _, path := range []string{"?ticket=" + text, "?limit=2&ticket=" + text, "?ticket=" + text + "&limit=2"} {
			g.call("GET", events+path, "", nil).want(t, 200)
			g.call("HEAD", events+path, "", nil).want(t, 200)
		}
		w := g.dial()
		w.send("GET " + events + "/stream?since=e0&ticket=" + text + " HTTP/1.1\nHost: x\nOrigin: https://page.example\n\n")
		s, r := w.openStream()
		r.want(t, 200)
		s.want(1, 3)
		s.close()
	}
	for _, text := range []string{m.token, m.owner, long, endless, both, post, ""} {
		g.call("GET", events+"?ticket="+text, "", nil).want(t, 401)
		g.call("GET", events+"/stream?ticket="+text, "", nil).want(t, 401)
	}
	g.call("GET", events+"?ticket="+noToken, "", nil).needs(t, "a wrong ticket", "")
	g.call("GET", "/v1/events/"+noSlot+"?ticket="+ticket, "", nil).want(t, 404)
	g.call("GET", events+"?ticket="+noToken, m.token, nil).want(t, 200) // the header is what counts
	g.call("GET", events+"?xticket="+ticket, "", nil).want(t, 401)
	// Nowhere else.
	g.call("POST", events+"?ticket="+ticket, "", `{"event":{}}`).want(t, 401)
	g.call("POST", events, ticket, `{"event":{}}`).needs(t, "post with a ticket", "post")
	for _, path := range []string{slot + "/state", slot + "/tokens"} {
		g.call("GET", path+"?ticket="+ticket, "", nil).want(t, 401)
	}
	g.call("DELETE", slot+"?ticket="+ticket, "", nil).want(t, 401)
	g.call("DELETE", slot+"/tokens/"+id, m.owner, nil).want(t, 204)
	g.call("GET", events+"?ticket="+byOwner, "", nil).needs(t, "a revoked ticket", "")
	// What can't be read as a request may hold one, too; see tokenBook.
	for _, head := range []string{
		"GET " + events + "?ticket=" + ticket + " HTTP/9.9\n\n", "GET  " + events + "?ticket=" + ticket + "\n\n",
		"GET " + events + "?ticket=" + ticket + " HTTP/1.1\nHost: x\nX: " + strings.Repeat("x", 20_000) + "\n\n",
		"G?ticket=" + ticket + " / HTTP/1.1\nHost: x\n\n",
	} {
		w := g.dial()
		w.send(head)
		if res, err := http.ReadResponse(w.br, nil); err == nil {
			res.Body.Close()
		}
		w.Close()
	}
	g.call("GET", "/v1/events/"+m.id+"%3Fticket="+ticket, "", nil).want(t, 401)
	g.call("GET", "/nope/ticket="+ticket, "", nil).want(t, 404)
}

// The operator gives a slot another owner, lists its tokens and takes them back.
func TestTokens_Admin(t *testing.T) {
	g := newRig(t)
	o := newOperator(g, true, "")
	m := g.allocate()
	text, id := m.further(m.owner, `{"may":["read"],"note":"n"}`)
	path := "/admin/v1/slots/" + m.id
	if list := fmt.Sprint(o.must(200, "GET", path+"/tokens", "")); !strings.Contains(list, id) || strings.Contains(list, text) {
		t.Error(list)
	}
	o.must(404, "DELETE", path+"/tokens/0123456789abcdef", "")
	o.must(404, "DELETE", path+"/tokens/x", "")
	o.must(204, "DELETE", path+"/tokens/"+id, "")
	o.must(404, "DELETE", path+"/tokens/"+id, "")
	g.call("GET", "/v1/events/"+m.id, text, nil).needs(t, "revoked by the operator", "")
	o.must(404, "POST", "/admin/v1/slots/"+noSlot+"/owner", "{}")
	o.must(404, "GET", "/admin/v1/slots/"+noSlot+"/tokens", "")
	made := o.must(201, "POST", path+"/owner", "{}")
	g.call("GET", "/v1/slot/"+m.id+"/tokens", m.owner, nil).needs(t, "the old owner", "")
	m.owner = made["owner_token"].(string)
	g.tokens.add(m.owner)
	g.restart()
	g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
}
