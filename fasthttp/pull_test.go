package fasthttp

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/poll"
)

func TestPull_LimitAndSince(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	if r := g.call("GET", "/v1/events/"+m.id, m.token, nil).want(t, 200); r.body != "[]" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("an empty page is %q (%v)", r.body, r.header)
	}
	const total = 1205
	for i := range total { // over a stored store, so that the test is quick
		p := g.store.NewPost()
		if err := p.Accept([]byte(`{"event":` + eventN(i) + `}`)); err != nil {
			t.Fatal(err)
		}
		id, _ := parseSlot(m.id)
		if _, err := p.Commit(g.store.Slot(id)); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	for _, row := range []struct {
		query   string
		from, n int
	}{
		{"", 0, 100}, {"?limit=1", 0, 1}, {"?limit=0", 0, 0}, {"?limit=0&wait=20", 0, 0}, {"?limit=1000", 0, 1000}, {"?limit=1001", 0, 1000},
		{"?limit=99999999999999999999999", 0, 1000}, {"?limit=007", 0, 7}, {"?since=", 0, 100}, {"?since=unknown", 0, 100}, {"?since=E4", 0, 100},
		{"?since=e4", 5, 100}, {"?since=e4&limit=2", 5, 2}, {"?limit=2&since=e4", 5, 2}, {"?since=e1104", 1105, 100}, {"?since=e1204", 1205, 0},
		{"?since=e1000&limit=1000", 1001, 204}, {"?since=" + strings.Repeat("x", 129), 0, 100}, {"?since=%00", 0, 100}, {"?other=1&limit=3", 0, 3},
		{"?wait=0", 0, 100}, {"?wait=25", 0, 100}, {"?wait=99999", 0, 100}, {"?limit=3#frag", 0, 3}, {"?", 0, 100}, {"?since=%65%34&limit=1", 5, 1},
		{"?since", 0, 100}, {"?since=e4%00", 0, 100},
	} {
		r := g.call("GET", "/v1/events/"+m.id+row.query, m.token, nil).want(t, 200)
		var want []string
		for i := range row.n {
			want = append(want, eventN(row.from+i))
		}
		if r.body != "["+strings.Join(want, ",")+"]" {
			t.Errorf("%s: %.120q..., want %d events from %d", row.query, r.body, row.n, row.from)
		}
	}
	for _, query := range []string{
		"?limit=-1", "?limit=-0", "?limit=x", "?limit=NaN", "?limit=", "?limit", "?limit=1.5", "?limit=1e3", "?limit=%31x", "?limit=+5", "?limit=0x10",
		"?limit= 5", "?wait=-1", "?wait=x", "?wait=1.5", "?limit=1&limit=2", "?wait=1&wait=1",
	} {
		w := g.dial()
		w.send("GET /v1/events/" + m.id + strings.ReplaceAll(query, " ", "%20") + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		if r := w.reply("GET"); r.status != 400 {
			t.Errorf("%s: status %d, want 400: %.100s", query, r.status, r.body)
		}
	}
}

// A page ends at the byte cap, but holds one event at least, and clients go on
// from its last id.
func TestPull_PageCap(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.PageBytes = 4000 })
	m := g.allocate()
	big := func(i, n int) string {
		return fmt.Sprintf(`{"event_id":"b%d","pad":"%s"}`, i, strings.Repeat("x", n))
	}
	sizes := []int{9000, 100, 1800, 1800, 1800, 100, 100, 3970, 10, 20_000, 5}
	for i, n := range sizes {
		m.post(big(i, n)).want(t, 201)
	}
	since, got := "", 0
	for pages := 0; got < len(sizes); pages++ {
		r := g.call("GET", "/v1/events/"+m.id+"?since="+since, m.token, nil).want(t, 200)
		page := m.split(r.body)
		if len(page) == 0 || pages > 20 {
			t.Fatalf("no end after %d events", got)
		}
		if len(page) > 1 && len(r.body) > 4000 {
			t.Errorf("a page of %d events has %d bytes, the cap is 4000", len(page), len(r.body))
		}
		for _, e := range page {
			if want := big(got, sizes[got]); e != want {
				t.Fatalf("event %d is %.40q, want %.40q", got, e, want)
			}
			got++
		}
		since = fmt.Sprintf("b%d", got-1)
	}
}

func TestPull_DefaultPageCapIs4MiB(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	pad := strings.Repeat("x", 200_000)
	for i := range 30 {
		m.post(fmt.Sprintf(`{"event_id":"p%d","pad":"%s"}`, i, pad)).want(t, 201)
	}
	r := g.call("GET", "/v1/events/"+m.id+"?limit=1000", m.token, nil).want(t, 200)
	if n := len(m.split(r.body)); n != 20 || len(r.body) > 4<<20 {
		t.Errorf("the page has %d events and %d bytes; 20 fit into 4 MiB", n, len(r.body))
	}
}

func TestPull_SinceOddIDs(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	ids := []string{"a b", "ü", "😀", "%41", "a&b=c", "a+b", "a/b?c#d", "line\nbreak", "nul\x00", "q\"uote\\", "a;b"}
	for i, id := range ids {
		m.post(fmt.Sprintf(`{"n":%d,"event_id":%s}`, i, jsonString(id))).want(t, 201)
	}
	for i, id := range ids {
		if got := m.pull("?since=" + url.QueryEscape(id)); len(got) != len(ids)-1-i {
			t.Errorf("since %q: %d events, want %d", id, len(got), len(ids)-1-i)
		}
	}
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	m.post(eventN(0)).want(t, 201)
	start := time.Now()
	if got := m.pull("?wait=20"); len(got) != 1 || time.Since(start) > 15*time.Second {
		t.Errorf("with something there: %v after %v", got, time.Since(start))
	}
	waits := m.longPoll("?since=e0&wait=20")
	g.eventually("the poll waits", func() bool { return g.relay.polls.Len() == 1 })
	select {
	case r := <-waits:
		t.Fatalf("answered before there was anything: %d %s", r.status, r.body)
	case <-time.After(50 * time.Millisecond):
	}
	m.post(eventN(0)).want(t, 200) // a duplicate is nothing new
	start = time.Now()
	m.post(eventN(1)).want(t, 201)
	if r := (<-waits).want(t, 200); r.body != "["+eventN(1)+"]" || time.Since(start) > 15*time.Second {
		t.Errorf("%s after %v", r.body, time.Since(start))
	}
	start = time.Now()
	if r := (<-m.longPoll("?since=e1&wait=1")).want(t, 200); r.body != "[]" {
		t.Errorf("after the wait: %s", r.body)
	}
	if took := time.Since(start); took < 900*time.Millisecond || took > 15*time.Second {
		t.Errorf("wait=1 took %v", took)
	}
	if n := g.relay.polls.Len(); n != 0 {
		t.Errorf("%d waiters stay", n)
	}
	if n := g.store.Stats().Subscribers.Load(); n != 0 {
		t.Errorf("%d subscribers stay", n)
	}
	polls := []<-chan reply{m.longPoll("?since=e1&wait=20"), m.longPoll("?since=e1&wait=20")}
	g.eventually("the polls wait", func() bool { return g.relay.polls.Len() == 2 })
	g.stop()
	for _, p := range polls {
		if r := (<-p).want(t, 200); r.body != "[]" {
			t.Errorf("at the drain: %s", r.body)
		}
	}
	if n := g.relay.polls.Ended(poll.EndDrain); n != 2 {
		t.Errorf("%d polls ended by the drain, want 2", n)
	}
}

// The pull counts when it comes, not when its wait ends.
func TestLongPoll_CountsAsPull(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.longPoll("?wait=20")
	g.eventually("the pull is known", func() bool { return m.state().field(t, "last_pull_at_unix") != nil })
}
