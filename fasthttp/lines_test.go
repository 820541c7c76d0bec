package fasthttp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const ndjson = "application/x-ndjson"

// postLines posts a body with an event a line.
func (m mailbox) postLines(body string, headers ...string) reply {
	m.Helper()
	return m.call("POST", "/v1/events/"+m.id, m.token, body, append([]string{"Content-Type", ndjson}, headers...)...)
}

// told checks a reply to a post of many events.
func told(t testing.TB, r reply, stored, duplicates, next int) {
	t.Helper()
	status := 201
	if stored == 0 {
		status = 200
	}
	if want := fmt.Sprintf(`{"stored":%d,"duplicates":%d,"next":%d}`, stored, duplicates, next); r.want(t, status).body != want {
		t.Errorf("%s, want %s", r.body, want)
	}
}

// 8.8: what is stored, in which order, and what is a duplicate.
func TestLines_Stored(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	live := m.stream("", "")
	m.post(`{"event_id":"old"}`).want(t, 201)
	told(t, m.postLines("{\"event_id\":\"a\"}\n{ \"n\" : 1.0 }\r\n \t\n\n{\"event_id\":\"old\"}\n{\"event_id\":\"\\u0061\",\"x\":1}\n{\"n\":1.0}"), 3, 2, 4)
	want := []string{`{"event_id":"old"}`, `{"event_id":"a"}`, `{"n":1.0}`, `{"n":1.0}`}
	if got := m.pull(""); !slices.Equal(got, want) {
		t.Errorf("pulled %q, want %q", got, want)
	}
	for _, w := range want {
		if f := live.next(); f.data != w {
			t.Errorf("streamed %q, want %q", f.data, w)
		}
	}
	told(t, m.postLines("{\"event_id\":\"old\"}\n{\"event_id\":\"a\"}"), 0, 2, 4)
	told(t, m.postLines("{}"), 1, 0, 5)
	told(t, m.postLines("{}\n", "Content-Type", "Application/X-NDJSON; charset=utf-8"), 1, 0, 6)
	g.restart()
	told(t, m.postLines("{\"event_id\":\"a\"}\n{\"event_id\":\"b\"}\n"), 1, 1, 7)
	if n := m.state().field(t, "event_count"); n != 7.0 {
		t.Errorf("%v events", n)
	}
}

// 8.8: what is refused, with which status and line; and nothing of it is stored.
func TestLines_Refusals(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	fat := func(n int) string { return `{"p":"` + strings.Repeat("q", n-8) + `"}` }
	for _, row := range []struct {
		body         string
		status, line int
		more         string // a member that the reply has
	}{
		{"{}\n{", 400, 2, ""}, {"{}\n\n{}\n{]\n[]", 400, 4, ""}, {"{}\n{\"a\":1,\"a\":2}", 400, 2, ""}, {"\ufeff{}", 400, 1, ""}, {"{} {}", 400, 1, ""},
		{"{}\n{\"a\":\"\\ud800\"}", 400, 2, ""}, {"{\n}", 400, 1, ""}, {`[{},{}]`, 422, 1, ""}, {"{}\n7\n{", 422, 2, ""}, {"{}\n" + `{"event_id":"` + strings.Repeat("x", 129) + `"}`, 422, 2, ""},
		{`{"d":` + strings.Repeat("[", 126) + strings.Repeat("]", 126) + `}`, 400, 1, ""},
		{"", 422, 0, ""}, {"\n \r\n\t\n", 422, 0, ""},
		{strings.Repeat("{}\n", 1001), 413, 1001, "max_events"}, {"{}\n" + fat(262_145), 413, 2, "max_bytes"},
		{strings.Repeat("{}\n", 404) + "{", 400, 405, ""}, {strings.Repeat("{}\n", 403) + "{", 400, 404, ""},
		{fat(262_144) + "\n" + fat(262_144) + "\n{}", 413, 3, "max_events"},
	} {
		r := m.postLines(row.body).want(t, row.status)
		var got map[string]any
		json.Unmarshal([]byte(r.body), &got)
		line, named := got["line"]
		if named != (row.line > 0) || named && line != float64(row.line) {
			t.Errorf("%.40q: %s, want line %d", row.body, r.body, row.line)
		}
		if _, ok := got[row.more]; row.more != "" && !ok {
			t.Errorf("%.40q: %s has no %s", row.body, r.body, row.more)
		}
	}
	told(t, m.postLines(strings.Repeat("{}\n", 1000)), 1000, 0, 1000)
	told(t, m.postLines(fat(262_144)+"\n"+fat(262_144)), 2, 0, 1002)
	told(t, m.postLines(strings.Repeat(" ", 1<<20)+"{}"+strings.Repeat("\n", 1<<20-2)), 1, 0, 1003) // 2 MiB
	m.postLines(strings.Repeat("\n", 2<<20+1)).want(t, 413)
	m.postLines(strings.Repeat("\n", 2<<20)+"{}", "Transfer-Encoding", "chunked").want(t, 413)
	for kind, status := range map[string]int{"application/ndjson": 415, "text/plain": 415, "": 415, "application/json": 400} {
		m.postLines("{}\n{}", "Content-Type", kind).want(t, status)
	}
	g.call("POST", "/v1/slot/allocate", "", "{}", "Content-Type", ndjson).want(t, 415)
	g.call("POST", "/v1/events/"+m.id, "", "{}", "Content-Type", ndjson).want(t, 401)
	g.call("POST", "/v1/events/"+m.id, noToken, "{}", "Content-Type", ndjson).want(t, 403)
	g.call("POST", "/v1/events/"+noSlot, m.token, "{}", "Content-Type", ndjson).want(t, 404)
	if n := m.state().field(t, "event_count"); n != 1003.0 {
		t.Errorf("%v events", n)
	}
}

// What is decided by the header is answered before the body comes, and the rest is not
// read. A body in chunks, or behind Expect, is taken.
func TestLines_ByTheHeader(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	head := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: " + ndjson + "\nAuthorization: Bearer "
	for want, rest := range map[int]string{403: noToken + "\nContent-Length: 100\n\n", 413: m.token + "\nContent-Length: 2097153\n\n"} {
		w := g.dial()
		w.send(head + rest)
		if r := w.reply("POST").want(t, want); !r.close {
			t.Errorf("%d leaves the connection open", want)
		}
	}
	w := g.dial()
	w.send(head + m.token + "\nTransfer-Encoding: chunked\n\n4\n{}\n\n0\n\n")
	told(t, w.reply("POST"), 1, 0, 1)
	w.send(head + m.token + "\nExpect: 100-continue\nContent-Length: 5\n\n")
	w.reply("POST").want(t, 100)
	w.send("{} \n")
	told(t, w.reply("POST"), 1, 0, 2)
}

// A post counts for the limit with its events. One that finds too few is refused whole,
// with the time until it finds them; one that is larger than the burst passes when that
// is whole, and the next wait until it is paid for.
func TestLines_RateLimits(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "post=10/20"))
	m := g.allocate()
	post := func(n int) reply { return m.postLines(strings.Repeat("{}\n", n), xff, "192.0.2.1") }
	refused := func(n int, after string) {
		t.Helper()
		if r := post(n).want(t, 429); r.header.Get("Retry-After") != after {
			t.Errorf("Retry-After %s, want %s", r.header.Get("Retry-After"), after)
		}
	}
	post(15).want(t, 201) // leaves 5
	refused(60, "2")      // needs the whole burst; costs one
	refused(10, "1")      // needs 10; costs one
	post(3).want(t, 201)
	refused(1, "1")
	clock.Add(int64(2 * time.Second))
	post(60).want(t, 201) // 40 in debt
	refused(1, "5")
	clock.Add(int64(4 * time.Second))
	refused(1, "1")
	clock.Add(int64(100 * time.Millisecond))
	post(1).want(t, 201)
	if n := m.state().field(t, "event_count"); n != 79.0 {
		t.Errorf("%v events", n)
	}
	for range 3 { // from loopback
		m.postLines(strings.Repeat("{}\n", 1000)).want(t, 201)
	}
}

// The metrics tell posts of many events.
func TestLines_Metrics(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	told(t, m.postLines("{\"event_id\":\"a\"}\n{\"event_id\":\"a\"}\n{}"), 2, 1, 2)
	m.postLines("{").want(t, 400)
	m.post("{}").want(t, 201)
	for series, want := range map[string]float64{
		"cowrelay_batch_post_events_count": 1, "cowrelay_batch_post_events_sum": 3, `cowrelay_batch_post_events_bucket{le="2"}`: 0, `cowrelay_batch_post_events_bucket{le="4"}`: 1,
		`cowrelay_batch_events_total{outcome="stored"}`: 2, `cowrelay_batch_events_total{outcome="duplicate"}`: 1,
		"cowrelay_posts_stored_total": 3, "cowrelay_posts_duplicate_total": 1, "cowrelay_queue_batch_events": 0, "cowrelay_queue_batch_events_max": 16384,
	} {
		if got := metric(g, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if n := m.call("GET", "/stats.json", "", nil).field(t, "events_posted_total"); n != 3.0 {
		t.Errorf("%v events are counted for good", n)
	}
}

// Many clients at once, with small and large bodies: each is answered, and each event
// is there once.
func TestLines_AtOnce(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	var stored atomic.Int64
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for r := range 6 {
				var b strings.Builder
				n := []int{1, 30, 200}[(c+r)%3]
				for i := range n {
					fmt.Fprintf(&b, "{\"event_id\":\"%d-%d\",\"p\":\"%s\"}\n", r, i, strings.Repeat("p", 200))
				}
				res := m.postLines(b.String())
				if res.status != 201 && res.status != 200 {
					t.Errorf("%d %s", res.status, res.body)
					return
				}
				stored.Add(int64(res.field(t, "stored").(float64)))
				if res.field(t, "stored").(float64)+res.field(t, "duplicates").(float64) != float64(n) {
					t.Errorf("%d events: %s", n, res.body)
				}
			}
		})
	}
	wg.Wait()
	if n := m.state().field(t, "event_count"); n != 6*200.0 || stored.Load() != 6*200 {
		t.Errorf("%v events, %d were told stored", n, stored.Load())
	}
}

// A post of many events is one request for the total as well, and counts with all.
func TestLines_TotalLimit(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "total=10/100"))
	m := g.allocate()
	m.postLines(strings.Repeat("{}\n", 90), xff, "192.0.2.1").want(t, 201)
	m.postLines(strings.Repeat("{}\n", 90), xff, "192.0.2.2").want(t, 429)
	if n := metric(g, `cowrelay_rate_limited_total{class="total"}`); n != 1 {
		t.Errorf("%v refused", n)
	}
}
