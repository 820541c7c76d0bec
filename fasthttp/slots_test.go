package fasthttp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/fasthttp/stream"
)

func readHead(w *wire) (*http.Response, error) {
	req, done := w.request("HEAD")
	res, err := http.ReadResponse(w.br, req)
	if err == nil {
		done()
		checkDescribed(w.TB, req, res, nil)
	}
	return res, err
}

func (m mailbox) state() reply {
	m.Helper()
	return m.call("GET", "/v1/slot/"+m.id+"/state", m.token, nil).want(m, 200)
}

// A slot may ask for a shorter life than the operator's, and its state shows what applies.
func TestAllocate_Lifetime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		slot, event time.Duration
		body        string
		status      int
		want        string // of the state, or of the refusal
	}{
		{"none", 0, 0, `{}`, 201, `"responder_health":null}`},
		{"nulls", 0, 0, `{"ttl_seconds":null,"event_ttl_seconds":0}`, 201, `"responder_health":null}`},
		{"own", 0, 0, `{"ttl_seconds":3600,"event_ttl_seconds":60}`, 201, `"ttl_seconds":3600,"event_ttl_seconds":60`},
		{"operator's", 5 * time.Hour, 2 * time.Hour, `{}`, 201, `"ttl_seconds":18000,"event_ttl_seconds":7200`},
		{"less", 5 * time.Hour, 2 * time.Hour, `{"event_ttl_seconds":7200}`, 201, `"ttl_seconds":18000,"event_ttl_seconds":7200`},
		{"more", 5 * time.Hour, 0, `{"ttl_seconds":18001}`, 400, `ttl_seconds is from 3600 to 18000 at this relay`},
		{"more events", 0, 2 * time.Hour, `{"event_ttl_seconds":7201}`, 400, `event_ttl_seconds is from 60 to 7200 at this relay`},
		{"short", 0, 0, `{"ttl_seconds":3599}`, 400, `from 3600 to 315360000`},
		{"short events", 0, 8 * time.Second, `{"event_ttl_seconds":7}`, 400, `from 8 to 8`},
		{"negative", 0, 0, `{"event_ttl_seconds":-60}`, 400, `from 60 to`},
		{"text", 0, 0, `{"ttl_seconds":"3600"}`, 422, `shape`},
		{"fraction", 0, 0, `{"ttl_seconds":3600.5}`, 422, `shape`},
		{"huge", 0, 0, `{"ttl_seconds":1e30}`, 422, `shape`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, func(o *rigOptions) { o.relay.SlotTTL, o.relay.EventTTL = c.slot, c.event })
			r := g.call("POST", "/v1/slot/allocate", "", c.body).want(t, c.status)
			if c.status != 201 {
				if !strings.Contains(string(r.body), c.want) || g.store.Len() != 0 {
					t.Errorf("%s, and %d slots", r.body, g.store.Len())
				}
				return
			}
			id, token, owner := r.field(t, "slot_id").(string), r.field(t, "slot_token").(string), r.field(t, "owner_token").(string)
			g.stop()
			g.start()
			if r := g.call("GET", "/v1/slot/"+id+"/state", token, nil).want(t, 200); !strings.Contains(string(r.body), c.want) {
				t.Errorf("the state is %s", r.body)
			}
			g.call("DELETE", "/v1/slot/"+id, owner, nil).want(t, 204)
			g.store.Records().List(cow.LifetimePrefix, func(key string, _ []byte, _ uint64) error {
				t.Errorf("%s is left", key)
				return nil
			})
		})
	}
}

func TestAllocate(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.MaxSlots = 9 })
	idText, tokenText := regexp.MustCompile(`^[0-9a-f]{32}$`), regexp.MustCompile(`^[0-9a-f]{64}$`)
	seen := map[string]bool{}
	for _, body := range []string{`{}`, `{"handle":null}`, `{"handle":"paul"}`, ` { "handle" : "" , "other" : [1] } `, `{"handle":"\u00e9"}`} {
		r := g.call("POST", "/v1/slot/allocate", "", body).want(t, 201)
		id, token, owner := r.field(t, "slot_id").(string), r.field(t, "slot_token").(string), r.field(t, "owner_token").(string)
		if !idText.MatchString(id) || !tokenText.MatchString(token) || !tokenText.MatchString(owner) || seen[id] || seen[token] || seen[owner] || token == owner {
			t.Errorf("%s: %s", body, r.body)
		}
		seen[id], seen[token], seen[owner] = true, true, true
	}
	for body, status := range map[string]int{
		`{"handle":1}`: 422, `{"handle":{}}`: 422, `{"handle":["a"]}`: 422, `{"handle":true}`: 422, `[]`: 422, `"x"`: 422, `1`: 422, `null`: 422,
		``: 400, `{`: 400, `{"handle":}`: 400, `{} {}`: 400, `{"handle":"` + "\xff" + `"}`: 400, `{"handle":"\ud800"}`: 400, "\ufeff{}": 400,
		`{"handle":"` + strings.Repeat("a", 20<<10) + `"}`: 413,
	} {
		if r := g.call("POST", "/v1/slot/allocate", "", body); r.status != status {
			t.Errorf("%.40q: status %d, want %d: %s", body, r.status, status, r.body)
		}
	}
	for range 4 {
		g.allocate()
	}
	r := g.call("POST", "/v1/slot/allocate", "", "{}").want(t, 503)
	if r.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if n := g.call("GET", "/stats.json", "", nil).field(t, "slots_active"); n != 9.0 {
		t.Errorf("slots_active %v, want 9", n)
	}
}

func TestState_AndLastPull(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	want := fmt.Sprintf(`{"slot_id":"%s","event_count":0,"last_pull_at_unix":null,"responder_health":null}`, m.id)
	if r := m.state(); r.body != want {
		t.Errorf("state of a new slot: %s", r.body)
	}
	m.fill(3)
	s := m.stream("", "")
	s.close()
	m.post(eventN(0)).want(t, 200)
	if r := m.state(); r.field(t, "event_count") != 3.0 || r.field(t, "last_pull_at_unix") != nil {
		t.Errorf("after posts and a stream: %s", r.body)
	}
	g.call("GET", "/v1/events/"+m.id+"?limit=-1", m.token, nil).want(t, 400)
	g.call("GET", "/v1/events/"+m.id, noToken, nil).want(t, 403)
	if at := m.state().field(t, "last_pull_at_unix"); at != nil {
		t.Errorf("refused pulls were counted: %v", at)
	}
	before := time.Now().Unix()
	m.pull("")
	at, _ := m.state().field(t, "last_pull_at_unix").(float64)
	if int64(at) < before || int64(at) > time.Now().Unix() || at != float64(int64(at)) {
		t.Errorf("last_pull_at_unix %v, now %d", at, before)
	}
	g.restart()
	if again := m.state().field(t, "last_pull_at_unix"); again != at {
		t.Errorf("last_pull_at_unix over a restart: %v, was %v", again, at)
	}
}

func TestResponderHealth(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	path := "/v1/slot/" + m.id + "/responder-health"
	for _, bad := range []string{"x", strings.ToUpper(m.id) + "A", m.id + "0", m.id[:31], "%20"} {
		g.call("POST", "/v1/slot/"+bad+"/responder-health", "", nil).want(t, 400) // before all else
		g.call("POST", "/v1/slot/"+bad+"/responder-health", m.token, "{}").want(t, 400)
	}
	for body, status := range map[string]int{
		`{}`: 422, `[]`: 422, `null`: 422, `{"status":"ok"}`: 422, `{"set_at":"now"}`: 422, `{"status":1,"set_at":"now"}`: 422,
		`{"status":null,"set_at":"now"}`: 422, `{"status":"ok","set_at":"now","reason":5}`: 422, `{"status":"ok","set_at":"now","last_success_at":[]}`: 422,
		`{"status":"ok","set_at":"now"`: 400, ``: 400, `{"status":"\ud800","set_at":"now"}`: 400,
		`{"status":"` + strings.Repeat("a", 70<<10) + `","set_at":"now"}`: 413,
	} {
		if r := g.call("POST", path, m.token, body); r.status != status {
			t.Errorf("%.60q: status %d, want %d: %s", body, r.status, status, r.body)
		}
	}
	if h := m.state().field(t, "responder_health"); h != nil {
		t.Errorf("refused records were kept: %v", h)
	}
	for _, row := range [][2]string{
		{`{"status":"ok","set_at":"2026-01-01T00:00:00Z"}`, `{"status":"ok","set_at":"2026-01-01T00:00:00Z"}`},
		{`{"x":1, "set_at":"b","status":"a\u00e9", "reason":null}`, `{"status":"aé","set_at":"b"}`},
		{`{"reason":"r","status":"s","last_success_at":"l","set_at":"t"}`, `{"status":"s","set_at":"t","reason":"r","last_success_at":"l"}`},
	} {
		if r := g.call("POST", path, m.token, row[0]).want(t, 200); r.body != row[1] {
			t.Errorf("%s: echoed %s, want %s", row[0], r.body, row[1])
		}
		if r := m.state(); !strings.Contains(r.body, `"responder_health":`+row[1]+`}`) {
			t.Errorf("state: %s", r.body)
		}
	}
	was := m.state().body
	g.restart()
	if now := m.state().body; now != was {
		t.Errorf("after a restart: %s, was %s", now, was)
	}
}

func TestDelete(t *testing.T) {
	g := newRig(t)
	m, kept := g.allocate(), g.allocate()
	m.fill(5)
	kept.fill(2)
	g.call("POST", "/v1/slot/"+m.id+"/responder-health", m.token, `{"status":"a","set_at":"b"}`).want(t, 200)
	s := m.stream("", "")
	poll := m.longPoll("?since=e4&wait=20")
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	if r := g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204); r.body != "" {
		t.Errorf("204 with a body: %q", r.body)
	}
	s.wantEnd()
	if r := <-poll; r.status != 404 {
		t.Errorf("long poll on a deleted slot: %d %s", r.status, r.body)
	}
	if n := g.relay.streams.Ended(stream.EndGone); n != 1 {
		t.Errorf("%d streams ended as gone, want 1", n)
	}
	check := func() {
		t.Helper()
		for _, row := range []struct {
			method, path string
			body         any
		}{
			{"GET", "/v1/events/", nil}, {"POST", "/v1/events/", `{"event":{}}`}, {"GET", "/v1/slot/", nil}, {"DELETE", "/v1/slot/", nil},
		} {
			path := row.path + m.id
			if row.method == "GET" && row.path == "/v1/slot/" {
				path += "/state"
			}
			g.call(row.method, path, m.token, row.body).want(t, 404)
			g.call(row.method, path, "", row.body).want(t, 401)
		}
		g.call("GET", "/v1/events/"+m.id+"/stream", m.token, nil).want(t, 404)
		if got := kept.pull(""); len(got) != 2 {
			t.Errorf("the other slot has %v", got)
		}
	}
	check()
	g.restart()
	check()
	if r := g.call("GET", "/stats.json", "", nil); r.field(t, "slots_active") != 1.0 || r.field(t, "events_posted_total") != 7.0 {
		t.Errorf("stats after a removal: %s", r.body)
	}
}

func TestStats(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.Version = "1.2.3-test" })
	names := []string{
		"version", "uptime_seconds", "handles_active", "slots_active", "pair_slots_open", "streams_active", "handle_claims_total",
		"handle_first_claims_total", "slot_allocations_total", "pair_opens_total", "events_posted_total",
	}
	read := func() map[string]any {
		var m map[string]any
		if err := json.Unmarshal([]byte(g.call("GET", "/stats.json", "", nil).want(t, 200).body), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := g.allocate()
	g.allocate()
	m.fill(3)
	m.post(eventN(1)).want(t, 200)
	s := m.stream("", "")
	got := read()
	for _, name := range names {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	for name := range got {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in the contract", name)
		}
	}
	want := map[string]any{"version": "1.2.3-test", "slots_active": 2.0, "streams_active": 1.0, "slot_allocations_total": 2.0, "events_posted_total": 3.0}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s is %v, want %v", name, got[name], v)
		}
	}
	s.close()
	g.eventually("streams_active is 0", func() bool { return read()["streams_active"] == 0.0 })
	g.call("DELETE", "/v1/slot/"+m.id, m.owner, nil).want(t, 204)
	g.restart()
	got = read()
	if got["slots_active"] != 1.0 || got["slot_allocations_total"] != 2.0 || got["events_posted_total"] != 3.0 {
		t.Errorf("after a restart: %v", got)
	}
}

// The kinds of refusal that the core can give, and what each becomes.
func TestFailures_MapOnce(t *testing.T) {
	g := newRig(t)
	for err, status := range map[error]int{
		cow.ErrNoSlot: 404, cow.ErrBusy: 503, cow.ErrNoSpace: 507, cow.ErrClosed: 503, cow.ErrTooManySlots: 503,
		cow.ErrTooManyStreams: 503, cow.ErrConflict: 503, http.ErrNoCookie: 503,
	} {
		f := g.relay.refusalOf("", fmt.Errorf("wrapped: %w", err))
		if f.Status != status || (status >= 500 && f.RetryAfter == 0) {
			t.Errorf("%v: %d, Retry-After %d; want %d", err, f.Status, f.RetryAfter, status)
		}
	}
}
