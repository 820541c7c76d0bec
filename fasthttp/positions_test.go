package fasthttp

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// positions returns what a pull said of positions.
func (r reply) positions(t testing.TB) (next, end int) {
	t.Helper()
	next, err := strconv.Atoi(r.header.Get("Relay-Next"))
	if err != nil {
		t.Errorf("Relay-Next: %v", err)
	}
	if end, err = strconv.Atoi(r.header.Get("Relay-End")); err != nil {
		t.Errorf("Relay-End: %v", err)
	}
	return next, end
}

func TestPull_Positions(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	for _, query := range []string{"", "?from=0", "?from=7", "?last=3", "?since=x", "?limit=0", "?from=7&wait=0", "?from=9&wait=1"} {
		for _, method := range []string{"GET", "HEAD"} {
			r := g.call(method, "/v1/events/"+m.id+query, m.token, nil).want(t, 200)
			if next, end := r.positions(t); next != 0 || end != 0 || method == "GET" && r.body != "[]" {
				t.Errorf("%s %s of an empty slot: %q, next %d, end %d", method, query, r.body, next, end)
			}
		}
	}
	const n = 250
	m.fill(n)
	for _, row := range []struct {
		query   string
		from, n int
	}{
		{"", 0, 100}, {"?since=", 0, 100}, {"?since=unknown", 0, 100}, {"?since=e4", 5, 100}, {"?since=e4&limit=2", 5, 2}, {"?since=e249", 250, 0},
		{"?limit=0", 0, 0}, {"?since=e4&limit=0", 5, 0},
		{"?from=0", 0, 100}, {"?from=5", 5, 100}, {"?from=005", 5, 100}, {"?from=%35", 5, 100}, {"?from=5&limit=3", 5, 3}, {"?limit=3&from=5", 5, 3},
		{"?from=5&limit=0", 5, 0}, {"?from=249", 249, 1}, {"?from=250", 250, 0}, {"?from=251", 250, 0}, {"?from=251&limit=0", 250, 0},
		{"?from=9223372036854775808", 250, 0}, {"?from=18446744073709551615", 250, 0}, {"?from=99999999999999999999999", 250, 0},
		{"?from=4294967296", 250, 0}, {"?from=1000000001", 250, 0}, {"?from=7&wait=20", 7, 100}, {"?from=7&ids=x", 7, 100},
		{"?last=1", 249, 1}, {"?last=10", 240, 10}, {"?last=150", 100, 150}, {"?last=250", 0, 250}, {"?last=251", 0, 250}, {"?last=99999999999999999999", 0, 250},
		{"?last=10&limit=4", 240, 4}, {"?limit=4&last=10", 240, 4}, {"?last=10&limit=40", 240, 10}, {"?last=0", 250, 0}, {"?last=10&limit=0", 240, 0},
		{"?last=10&wait=20", 240, 10},
	} {
		r := g.call("GET", "/v1/events/"+m.id+row.query, m.token, nil).want(t, 200)
		var want []string
		for i := range row.n {
			want = append(want, eventN(row.from+i))
		}
		next, end := r.positions(t)
		if r.body != "["+strings.Join(want, ",")+"]" || next != row.from+row.n || end != n {
			t.Errorf("%s: %.120q..., next %d, end %d; want %d events from %d", row.query, r.body, next, end, row.n, row.from)
		}
		if next, end := g.call("HEAD", "/v1/events/"+m.id+row.query, m.token, nil).want(t, 200).positions(t); next != row.from+row.n || end != n {
			t.Errorf("HEAD %s: next %d, end %d", row.query, next, end)
		}
	}
	for _, query := range []string{
		"?from=-1", "?from=x", "?from=", "?from", "?from=1.5", "?from=1e3", "?from=+5", "?from=0x10", "?from= 5", "?from=1&from=1", "?from=5x",
		"?last=-1", "?last=x", "?last=", "?last", "?last=1&last=1", "?last=1.0",
		"?since=a&from=1", "?from=1&since=a", "?since=&from=0", "?since=a&last=1", "?last=1&since", "?from=1&last=1", "?last=1&from=1",
	} {
		for _, path := range []string{"", "/stream"} {
			w := g.dial()
			w.send("GET /v1/events/" + m.id + path + strings.ReplaceAll(query, " ", "%20") + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
			if r := w.reply("GET"); r.status != 400 || r.header.Get("Relay-Next") != "" {
				t.Errorf("%s%s: status %d, want 400: %.100s", path, query, r.status, r.body)
			}
		}
	}
}

// A slot whose events have no ids is read to its end, page by page, though pages are
// shorter than what was asked for; the newest events too, where they fill more than a
// page.
func TestPull_ReadToTheEndWithoutIDs(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.PageBytes = 4000 })
	m := g.allocate()
	event := func(i int) string { return fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", i*37%1900)) }
	const n = 60
	for i := range n {
		m.post(event(i)).want(t, 201)
	}
	for _, row := range []struct {
		query string
		from  int
	}{{"?from=0", 0}, {"?last=1000", 0}, {"?last=40", n - 40}, {"?from=17&limit=1000", 17}} {
		pages, at := 0, row.from
		for query := row.query; ; pages++ {
			r := g.call("GET", "/v1/events/"+m.id+query, m.token, nil).want(t, 200)
			for _, e := range m.split(r.body) {
				if e != event(at) {
					t.Fatalf("%s: at %d: %.60s", row.query, at, e)
				}
				at++
			}
			next, end := r.positions(t)
			if next != at || end != n {
				t.Fatalf("%s: next %d, end %d at %d", row.query, next, end, at)
			}
			if next == end {
				break
			}
			query = fmt.Sprintf("?from=%d", next)
		}
		if at != n || pages < 3 {
			t.Errorf("%s: %d events in %d pages", row.query, at, pages+1)
		}
	}
}

// A long poll by position gets what comes, once; one behind the end gets what comes
// next, which is at the end.
func TestLongPoll_Positions(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.post(`{"n":0}`).want(t, 201)
	for i, query := range []string{"?from=1&wait=20", "?from=99&wait=20", "?last=0&limit=5&wait=20"} {
		if i == 2 { // nothing was asked for, so nothing is waited for
			r := g.call("GET", "/v1/events/"+m.id+query, m.token, nil).want(t, 200)
			if next, end := r.positions(t); r.body != "[]" || next != 3 || end != 3 {
				t.Errorf("%s: %s, next %d, end %d", query, r.body, next, end)
			}
			continue
		}
		waits := m.longPoll(query)
		g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
		m.post(fmt.Sprintf(`{"n":%d}`, i+1)).want(t, 201)
		r := (<-waits).want(t, 200)
		if next, end := r.positions(t); r.body != fmt.Sprintf(`[{"n":%d}]`, i+1) || next != i+2 || end != i+2 {
			t.Errorf("%s: %s, next %d, end %d", query, r.body, next, end)
		}
	}
	r := (<-m.longPoll("?from=3&wait=1")).want(t, 200)
	if next, end := r.positions(t); r.body != "[]" || next != 3 || end != 3 {
		t.Errorf("after the wait: %s, next %d, end %d", r.body, next, end)
	}
	if n := g.store.Stats().FramesEncoded.Load(); n != 0 {
		t.Errorf("%d frames were encoded for long polls", n)
	}
}

// A reader that asks from Relay-Next, with a wait, misses and repeats nothing while
// others post.
func TestLongPoll_FromNextWhileOthersPost(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	const posters, each = 4, 60
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, fmt.Sprintf(`{"event":{"p":%d,"i":%d}}`, p, i)); err != nil || r.status != 201 {
					t.Errorf("post: %d, %v", r.status, err)
					return
				}
			}
		})
	}
	seen, at := make(map[string]bool), 0
	for at < posters*each && !t.Failed() {
		r := g.call("GET", fmt.Sprintf("/v1/events/%s?from=%d&wait=20&limit=7", m.id, at), m.token, nil).want(t, 200)
		page := m.split(r.body)
		for _, e := range page {
			if seen[e] {
				t.Errorf("%s came twice", e)
			}
			seen[e] = true
		}
		next, end := r.positions(t)
		if next != at+len(page) || end < next || len(page) == 0 {
			t.Fatalf("a page of %d from %d: next %d, end %d", len(page), at, next, end)
		}
		at = next
	}
	wg.Wait()
	if len(seen) != posters*each {
		t.Errorf("%d events of %d", len(seen), posters*each)
	}
}

func TestStream_Positions(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	events := []string{eventN(0), `{"no":"id"}`, `{"event_id":"line\nfeed"}`, eventN(3), `{"event_id":""}`, eventN(5)}
	ids := []string{"e0", "", "", "e3", "", "e5"}
	for _, e := range events {
		m.post(e).want(t, 201)
	}
	for _, row := range []struct {
		query, header string
		from          int
		numbered      bool
	}{
		{"?from=0", "", 0, false}, {"?from=2", "", 2, false}, {"?from=6", "", 6, false}, {"?from=7", "", 6, false}, {"?from=9223372036854775808", "", 6, false},
		{"?last=2", "", 4, false}, {"?last=0", "", 6, false}, {"?last=100", "", 0, false}, {"?last=99999", "", 0, false},
		{"?ids=position", "", 6, true}, {"?from=0&ids=position", "", 0, true}, {"?ids=position&from=3", "", 3, true}, {"?last=1&ids=position", "", 5, true},
		{"?since=e3&ids=position", "", 4, true}, {"?since=e3&ids=position&limit=x&wait=x", "", 4, true},
		{"?from=0", "Last-Event-ID: e3", 4, false}, {"?last=1", "Last-Event-ID: e0", 1, false}, {"?since=e0", "Last-Event-ID: e3", 4, false},
		{"?from=5", "Last-Event-ID: ", 0, false}, {"?from=5", "Last-Event-ID: 1", 0, false},
		{"?ids=position", "Last-Event-ID: 0", 1, true}, {"?from=0&ids=position", "Last-Event-ID: 3", 4, true}, {"?last=6&ids=position", "Last-Event-ID: 4", 5, true},
		{"?since=e0&ids=position", "Last-Event-ID: 5", 6, true}, {"?ids=position", "Last-Event-ID: 6", 6, true},
		{"?ids=position", "Last-Event-ID: 18446744073709551615", 6, true}, {"?ids=position", "Last-Event-ID: 99999999999999999999999", 6, true},
		{"?ids=position", "Last-Event-ID: ", 0, true}, {"?ids=position&from=4", "Last-Event-ID: e3", 0, true}, {"?ids=position", "Last-Event-ID: -1", 0, true},
		{"?ids=position", "Last-Event-ID: 1.5", 0, true},
	} {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/1.0"} {
			w := g.dial()
			w.send(m.streamRequest(protocol, row.query, row.header))
			s, r := w.openStreamIn(protocol == "HTTP/1.1")
			if s == nil {
				t.Fatalf("%s, %s: status %d: %s", row.query, row.header, r.status, r.body)
			}
			g.eventually("the stream is in its slot", func() bool { return m.subscribers() == 1 })
			e := fmt.Sprintf(`{"live":%d}`, len(events))
			m.post(e).want(t, 201)
			events, ids = append(events, e), append(ids, "")
			for pos := row.from; pos < len(events); pos++ {
				want := sseFrame{ids[pos], events[pos]}
				if row.numbered {
					want.id = strconv.Itoa(pos)
				}
				if got := s.next(); got != want {
					t.Fatalf("%s, %q, %s: frame %q at %d, want %q", row.query, row.header, protocol, got, pos, want)
				}
			}
			s.close()
			g.eventually("the stream has left", func() bool { return m.subscribers() == 0 })
			m = g.allocate() // with the six again
			events, ids = events[:6], ids[:6]
			for _, e := range events {
				m.post(e).want(t, 201)
			}
		}
	}
	for _, query := range []string{"?ids=", "?ids", "?ids=x", "?ids=Position", "?ids=position&ids=position", "?ids=event", "?ids=position%20"} {
		for _, header := range []string{"", "Last-Event-ID: 1"} {
			if _, r := m.tryStream(query, header); r.status != 400 || !strings.Contains(r.body, "bad query") {
				t.Errorf("%s: status %d, want 400: %s", query, r.status, r.body)
			}
		}
	}
	g.call("HEAD", "/v1/events/"+m.id+"/stream?from=x", m.token, nil).want(t, 400)
}

// Readers of both kinds of id lines who leave and come back, beside posts of events
// without ids: each gets every event once, in the one order (I6).
func TestStreams_I6_BothKindsOverReturns(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	const posters, each, readers = 4, 150, 6
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if r, err := m.tryCall("POST", "/v1/events/"+m.id, m.token, fmt.Sprintf(`{"event":{"p":%d,"i":%d}}`, p, i)); err != nil || r.status != 201 {
					t.Errorf("post: %d, %v", r.status, err)
					return
				}
			}
		})
	}
	logs := make([][]string, readers)
	for n := range readers {
		time.Sleep(time.Duration(n) * 5 * time.Millisecond)
		numbered := n%2 == 0
		query := "?from=0"
		if numbered {
			query += "&ids=position"
		}
		s := m.stream(query, "")
		wg.Go(func() {
			for len(logs[n]) < posters*each {
				f, err := s.readFrame()
				if err != nil {
					t.Errorf("reader %d after %d: %v", n, len(logs[n]), err)
					return
				}
				if want := strconv.Itoa(len(logs[n])); numbered && f.id != want || !numbered && f.id != "" {
					t.Errorf("reader %d: frame %q where position %s comes next", n, f, want)
					return
				}
				logs[n] = append(logs[n], f.data)
				if len(logs[n])%110 == 0 { // leave, and come back
					s.close()
					if numbered {
						s, _ = m.tryStream(query, "Last-Event-ID: "+f.id)
					} else {
						s, _ = m.tryStream(fmt.Sprintf("?from=%d", len(logs[n])), "")
					}
				}
			}
			s.close()
		})
	}
	wg.Wait()
	for n := range logs {
		if strings.Join(logs[n], "\n") != strings.Join(logs[0], "\n") {
			t.Errorf("I6: reader %d saw another order than reader 0", n)
		}
	}
}
