package fasthttp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/fasthttp/admin"
)

// operator speaks to the admin side of a rig as a process on this machine does.
type operator struct {
	*rig
	admin *admin.Server
	log   *syncBuffer
	level *slog.LevelVar
	stops atomic.Int32
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newOperator(g *rig, local bool, token string) *operator {
	o := &operator{rig: g, log: new(syncBuffer), level: new(slog.LevelVar)}
	o.admin = admin.New(local, admin.Options{
		Token: token, Level: o.level, Stop: func() { o.stops.Add(1) },
		Logger: slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: o.level})),
	})
	o.admin.Attach(g.relay, g.store)
	g.Cleanup(func() { o.admin.Close() })
	return o
}

// ask sends a request; headers are pairs, an empty value takes one away.
func (o *operator) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "http://127.0.0.1:9770"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	rec := httptest.NewRecorder()
	o.admin.ServeHTTP(rec, req)
	return rec
}

// must returns the JSON object of a reply with the status.
func (o *operator) must(status int, method, path, body string, headers ...string) map[string]any {
	o.Helper()
	rec := o.ask(method, path, body, headers...)
	if rec.Code != status {
		o.Fatalf("%s %s %v: status %d, want %d: %s", method, path, headers, rec.Code, status, rec.Body)
	}
	var v map[string]any
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &v); err != nil {
			o.Fatalf("%s %s: %v: %s", method, path, err, rec.Body)
		}
	}
	if text, _ := v["error"].(string); (status >= 400) != (text != "") {
		o.Errorf("%s %s: status %d with error %q", method, path, status, text)
	}
	return v
}

func (o *operator) ids(query string) (ids []string) {
	o.Helper()
	for _, s := range o.must(200, "GET", "/admin/v1/slots"+query, "")["slots"].([]any) {
		ids = append(ids, s.(map[string]any)["slot_id"].(string))
	}
	return ids
}

const adminToken = "an-admin-token-of-32-characters!"

func TestAdmin_WhoMay(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	protected := []string{"/admin/v1/status", "/admin/v1/slots", "/debug/pprof/", "/debug/pprof/cmdline"}
	all := append([]string{"/metrics", "/healthz", "/readyz"}, protected...)
	bearer, wrong := "Bearer "+adminToken, "Bearer "+adminToken[1:]+"?"
	for _, c := range []struct {
		what    string
		local   bool
		token   string
		headers []string
		status  int // of protected routes
	}{
		{"on loopback", true, "", nil, 200},
		{"on loopback, by name", true, "", []string{"Host", "LocalHost:9770"}, 200},
		{"on loopback, IPv6", true, "", []string{"Host", "[::1]:9770"}, 200},
		{"a page of the operator's own", true, "", []string{"Origin", "http://127.0.0.1:9770", "Sec-Fetch-Site", "same-origin"}, 200},
		{"typed into a browser", true, "", []string{"Sec-Fetch-Site", "none"}, 200},
		{"a name that was made to point here", true, "", []string{"Host", "evil.example:9770"}, 403},
		{"an address that is not here", true, "", []string{"Host", "10.0.0.1:9770"}, 403},
		{"no host", true, "", []string{"Host", ""}, 403},
		{"another site's page", true, "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another port's page", true, "", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", true, "", []string{"Origin", "http://127.0.0.1:3000"}, 403},
		{"a sandboxed page", true, "", []string{"Origin", "null"}, 403},
		{"off loopback without a token", false, "", nil, 403},
		{"off loopback, one made up", false, "", []string{"Authorization", bearer}, 403},
		{"the token", false, adminToken, []string{"Authorization", bearer, "Host", "relay.internal:9770"}, 200},
		{"the token as a password", false, adminToken, []string{"Authorization", "Basic OmFuLWFkbWluLXRva2VuLW9mLTMyLWNoYXJhY3RlcnMh"}, 200},
		{"the token from another site's page", false, adminToken, []string{"Authorization", bearer, "Origin", "http://evil.example"}, 403},
		{"no token", false, adminToken, nil, 401},
		{"no token on loopback", true, adminToken, nil, 401},
		{"a wrong token", false, adminToken, []string{"Authorization", wrong}, 401},
		{"an empty token", true, adminToken, []string{"Authorization", "Bearer "}, 401},
	} {
		o := newOperator(g, c.local, c.token)
		for _, path := range all {
			want := 200
			if slices.Contains(protected, path) {
				want = c.status
			}
			if rec := o.ask("GET", path, "", c.headers...); rec.Code != want {
				t.Errorf("%s: %s: status %d, want %d: %.100s", c.what, path, rec.Code, want, rec.Body)
			}
		}
		if refused := c.status != 200; refused != strings.Contains(o.log.String(), "admin request refused") || strings.Contains(o.log.String(), adminToken) {
			t.Errorf("%s: log: %s", c.what, o.log)
		}
	}
	// A form of another site's page can send these without asking first.
	o, m := newOperator(g, true, ""), g.allocate()
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		o.must(415, "POST", "/admin/v1/slots/"+m.id+"/block", "{}", "Content-Type", kind)
		o.must(415, "POST", "/admin/v1/drain", "", "Content-Type", kind)
		o.must(415, "PUT", "/admin/v1/log-level", `{"level":"debug"}`, "Content-Type", kind)
	}
	if g.relay.store.BlockedSlots() != 0 || o.stops.Load() != 0 || o.level.Level() != slog.LevelInfo {
		t.Error("a refused request did something")
	}
	// The listener's address decides what is loopback.
	for address, want := range map[string]int{"127.0.0.1:1": 200, "[::1]:1": 200, "0.0.0.0:1": 403, "[::]:1": 403, "10.1.2.3:1": 403} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		told, _ := net.ResolveTCPAddr("tcp", address)
		a := admin.Serve(elsewhere{ln, told}, admin.Options{Logger: g.opts.relay.Logger})
		a.Attach(g.relay, g.store)
		res, err := g.client.Get("http://" + ln.Addr().String() + "/admin/v1/status")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("a listener on %s: status %d, want %d", address, res.StatusCode, want)
		}
		a.Close()
	}
	// Before there is a relay there is nothing to ask.
	early := admin.New(true, admin.Options{})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 503, "/admin/v1/status": 503} {
		rec := httptest.NewRecorder()
		early.ServeHTTP(rec, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
		if rec.Code != want {
			t.Errorf("%s while starting: %d, want %d", path, rec.Code, want)
		}
	}
}

// elsewhere is a listener that tells another address.
type elsewhere struct {
	net.Listener
	addr net.Addr
}

func (e elsewhere) Addr() net.Addr { return e.addr }

func TestAdmin_Lists(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	o := newOperator(g, true, "")
	var m []mailbox
	for i := range 5 {
		m = append(m, g.allocate())
		m[i].fill(i)
	}
	m[0].post(`{"pad":"`+strings.Repeat("x", 5000)+`"}`).want(t, 201)
	m[1].stream("", "")
	m[1].stream("", "")
	m[3].stream("", "")
	m[2].pull("")
	for query, want := range map[string][]mailbox{
		"":                    {m[0], m[4], m[3], m[2], m[1]},
		"?by=bytes&limit=2":   {m[0], m[4]},
		"?by=events&limit=3":  {m[4], m[3], m[2]},
		"?by=streams&limit=2": {m[1], m[3]},
		"?by=pulled&limit=1":  {m[2]},
		"?blocked=true":       nil,
	} {
		var ids []string
		for _, box := range want {
			ids = append(ids, box.id)
		}
		if got := o.ids(query); !slices.Equal(got, ids) {
			t.Errorf("%s: %v, want %v", query, got, ids)
		}
	}
	for _, query := range []string{"?by=name", "?limit=0", "?limit=1001", "?limit=x", "?blocked=maybe", "?rates=x"} {
		o.must(400, "GET", "/admin/v1/slots"+query, "")
	}
	// Who gets posts now comes first, whoever got more before.
	posting := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1000; ; i++ {
			select {
			case <-posting:
				return
			default:
				m[1].post(eventN(i))
				time.Sleep(time.Millisecond)
			}
		}
	}()
	list := o.must(200, "GET", "/admin/v1/slots?by=posts&limit=2", "")
	close(posting)
	<-done
	first := list["slots"].([]any)[0].(map[string]any)
	if first["slot_id"] != m[1].id || first["posts_per_second"].(float64) <= 0 || list["seconds"].(float64) < 1 || list["matching"] != 5.0 {
		t.Errorf("by posts: %v", list)
	}
	// The next question is answered by the same look.
	again := o.must(200, "GET", "/admin/v1/slots?by=streams&rates=true&limit=1", "")
	if first := again["slots"].([]any)[0].(map[string]any); again["seconds"].(float64) < 1 || first["slot_id"] != m[1].id || first["posts_per_second"].(float64) <= 0 {
		t.Errorf("asked again: %v", again)
	}
	if body := o.ask("GET", "/admin/v1/slots?limit=1000", "").Body.String(); strings.Contains(body, m[0].token) {
		t.Error("a list holds a token")
	}
}

func TestAdmin_InspectAndDelete(t *testing.T) {
	g := newRig(t)
	o := newOperator(g, true, "")
	m := g.allocate()
	m.fill(3)
	path := "/admin/v1/slots/" + m.id
	v := o.must(200, "GET", path, "")
	want := map[string]any{
		"slot_id": m.id, "events": 3.0, "bytes": float64(3 * len(eventN(0))), "streams": 0.0, "hot": true, "blocked": false,
		"last_pull_at_unix": nil, "responder_health": nil, "block": nil,
		"lifetime": map[string]any{"ttl": nil, "unused_ttl": nil, "event_ttl": nil, "ephemeral_ttl": nil, "event_keep": nil, "ends_unix": nil, "ends_as": nil},
	}
	if fmt.Sprint(v) != fmt.Sprint(want) {
		t.Errorf("inspect: %v, want %v", v, want)
	}
	m.pull("")
	m.call("POST", "/v1/slot/"+m.id+"/responder-health", m.token, `{"status":"ok","set_at":"now"}`).want(t, 200)
	v = o.must(200, "GET", path, "")
	if v["last_pull_at_unix"].(float64) < 1e9 || fmt.Sprint(v["responder_health"]) != "map[set_at:now status:ok]" {
		t.Errorf("inspect: %v", v)
	}
	o.must(204, "DELETE", path, "", "Content-Type", "")
	m.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 404)
	for _, method := range []string{"GET", "DELETE"} {
		o.must(404, method, path, "")
		o.must(400, method, "/admin/v1/slots/xyz", "")
	}
	o.must(404, "POST", path+"/block", "{}")
	o.must(404, "POST", path+"/unblock", "")
	for _, line := range []string{`act="delete slot" on=` + m.id + " result=done", `act="delete slot" on=` + m.id + ` result="cow: no such slot"`} {
		if !strings.Contains(o.log.String(), "level=INFO msg=admin remote=192.0.2.1:1234 "+line) {
			t.Errorf("the log lacks %s:\n%s", line, o.log)
		}
	}
}

// A blocked slot refuses posts, pulls and streams, never as one that is gone;
// its open streams and long polls end; all that over a restart.
func TestAdmin_Block(t *testing.T) {
	g := newRig(t)
	o := newOperator(g, true, "")
	m, other := g.allocate(), g.allocate()
	m.fill(3)
	var tokens []string
	for range 2 {
		_, id := m.further(m.owner, `{"may":["read"]}`)
		tokens = append(tokens, id)
	}
	live, untouched := m.stream("", ""), other.stream("", "")
	poll := m.longPoll("?since=e2&wait=25")
	g.eventually("the poll waits", func() bool { return metric(g, "cowrelay_long_polls") == 1 })
	o.must(422, "POST", "/admin/v1/slots/"+m.id+"/block", `{"reason":"`+strings.Repeat("x", 1001)+`"}`)
	o.must(422, "POST", "/admin/v1/slots/"+m.id+"/block", `{"reason":1}`)
	o.must(400, "POST", "/admin/v1/slots/"+m.id+"/block", `{`)
	o.must(413, "POST", "/admin/v1/slots/"+m.id+"/block", `{"reason":"`+strings.Repeat("x", 20<<10)+`"}`)
	if v := o.must(200, "POST", "/admin/v1/slots/"+m.id+"/block", `{"reason":"spam"}`); v["blocked"] != true {
		t.Errorf("block: %v", v)
	}
	(<-poll).want(t, 403)
	live.wantEnd()
	g.eventually("the end is counted", func() bool { return metric(g, `cowrelay_streams_closed_total{reason="blocked"}`) == 1 })
	refused := func(n int) {
		t.Helper()
		for _, r := range []reply{
			m.post(eventN(9)),
			m.call("GET", "/v1/events/"+m.id, m.token, nil),
			m.call("GET", "/v1/events/"+m.id+"/stream", m.token, nil),
			m.call("POST", "/v1/slot/"+m.id+"/tokens", m.owner, `{"may":["read"]}`),
			m.call("POST", "/v1/slot/"+m.id+"/responder-health", m.token, `{"status":"ok","set_at":"now"}`),
		} {
			if r.want(t, 403); r.field(t, "blocked") != true {
				t.Errorf("no word of the block: %s", r.body)
			}
		}
		m.call("GET", "/v1/events/"+m.id, noToken, nil).want(t, 403)
		if n := m.state().field(t, "event_count"); n != 3.0 {
			t.Errorf("state of a blocked slot: %v events", n)
		}
		// Its owner sees which tokens there are, to take them back.
		id := tokens[n-1]
		if r := m.call("GET", "/v1/slot/"+m.id+"/tokens", m.owner, nil).want(t, 200); !strings.Contains(r.body, id) {
			t.Errorf("tokens of a blocked slot: %s", r.body)
		}
		m.call("DELETE", "/v1/slot/"+m.id+"/tokens/"+id, m.owner, nil).want(t, 204)
		other.post(eventN(n)).want(t, 201)
		other.pull("")
		if n := metric(g, "cowrelay_slots_blocked"); n != 1 {
			t.Errorf("%v slots are blocked", n)
		}
		if got := o.ids("?blocked=true"); !slices.Equal(got, []string{m.id}) {
			t.Errorf("blocked slots: %v", got)
		}
		block, _ := o.must(200, "GET", "/admin/v1/slots/"+m.id, "")["block"].(map[string]any)
		if block["reason"] != "spam" || block["at_unix"].(float64) < 1e9 {
			t.Errorf("the note of the block: %v", block)
		}
	}
	refused(1)
	untouched.want(1, 2)
	untouched.close()
	g.restart()
	o.admin.Attach(g.relay, g.store)
	refused(2)
	if v := o.must(200, "POST", "/admin/v1/slots/"+m.id+"/unblock", ""); v["blocked"] != false {
		t.Errorf("unblock: %v", v)
	}
	m.post(eventN(3)).want(t, 201)
	if n := len(m.pull("")); n != 4 {
		t.Errorf("%d events after the block", n)
	}
	m.stream("?since=e0", "").want(1, 4)
	// The owner can still delete a blocked slot.
	o.must(200, "POST", "/admin/v1/slots/"+m.id+"/block", "")
	m.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
	if n := metric(g, "cowrelay_slots_blocked"); n != 0 {
		t.Errorf("%v slots are blocked, of those that are there", n)
	}
}

func TestAdmin_StatusLevelDrain(t *testing.T) {
	g := newRig(t)
	o := newOperator(g, true, "")
	m := g.allocate()
	m.fill(2)
	m.stream("", "")
	for _, nick := range []string{"alice", "bob"} {
		g.call("POST", "/v1/handle/claim", m.token, claimBody(nick, m.id)).want(t, 201)
	}
	g.call("POST", "/v1/invite/register", "", []byte(`{"invite_url":"wire://pair?a"}`)).want(t, 201)
	g.call("POST", "/v1/pair", "", []byte(`{"code_hash":"c","msg":"m","role":"host"}`)).want(t, 201)
	v := o.must(200, "GET", "/admin/v1/status", "")
	for name, want := range map[string]any{
		"version": "dev", "ready": true, "draining": false, "log_level": "info", "slots": 1.0, "slots_hot": 1.0, "slots_blocked": 0.0,
		"events": 2.0, "streams": 1.0, "long_polls": 0.0, "queue_posts": 0.0, "handles": 2.0, "invites": 1.0, "pairs": 1.0,
	} {
		if v[name] != want {
			t.Errorf("status: %s is %v, want %v", name, v[name], want)
		}
	}
	if v["memory_bytes"].(float64) <= 0 || v["memory_budget_bytes"].(float64) <= v["memory_bytes"].(float64) {
		t.Errorf("status: memory: %v", v)
	}
	if l := o.must(200, "PUT", "/admin/v1/log-level", `{"level":"WARN"}`)["level"]; l != "warn" || o.level.Level() != slog.LevelWarn {
		t.Errorf("level %v, %v", l, o.level.Level())
	}
	o.must(200, "PUT", "/admin/v1/log-level", `{"level":"debug"}`)
	if l := o.must(200, "GET", "/admin/v1/log-level", "")["level"]; l != "debug" {
		t.Errorf("level %v", l)
	}
	for body, status := range map[string]int{`{"level":"loud"}`: 422, `{"level":"info+1"}`: 422, `{"level":5}`: 422, `{}`: 422, ``: 422, `x`: 400} {
		o.must(status, "PUT", "/admin/v1/log-level", body)
	}
	// Raising and lowering are both seen.
	for _, change := range []string{"info to warn", "warn to debug"} {
		if !strings.Contains(o.log.String(), `act="set log level" on="`+change+`"`) {
			t.Errorf("the log lacks %q:\n%s", change, o.log)
		}
	}
	if v := o.must(202, "POST", "/admin/v1/drain", ""); v["draining"] != true || o.stops.Load() != 1 {
		t.Errorf("drain: %v, %d stops", v, o.stops.Load())
	}
	g.stop()
	o.must(202, "POST", "/admin/v1/drain", "")
	if o.stops.Load() != 1 {
		t.Error("a relay that drains was told again")
	}
	if v := o.must(200, "GET", "/admin/v1/status", ""); v["ready"] != false || v["draining"] != true {
		t.Errorf("status after the drain: %v", v)
	}
	// Who gave neither level nor stop can't be asked for them.
	bare := admin.New(true, admin.Options{Logger: g.opts.relay.Logger})
	bare.Attach(g.relay, g.store)
	for method, path := range map[string]string{"GET": "/admin/v1/log-level", "PUT": "/admin/v1/log-level", "POST": "/admin/v1/drain"} {
		o.admin = bare
		o.must(http.StatusNotImplemented, method, path, `{"level":"info"}`)
	}
}
