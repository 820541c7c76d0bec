//go:build !race && !invariants

package fasthttp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow/invariants"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/trace"

	"github.com/valyala/fasthttp"
)

// roundTrips returns what one request costs in allocations, over the whole of
// the relay: header, routing, authentication, handler, and the reply's way to
// the connection. The client's side allocates nothing.
func roundTrips(t *testing.T, g *rig, request string) float64 {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	send := []byte(request)
	buf := make([]byte, 1<<20)
	c.Write(send)
	n := 0 // the reply's length, which is the same each time
	for {
		m, err := c.Read(buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
		head, body, ok := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		var length int
		i := bytes.Index(head, []byte("Content-Length: "))
		fmt.Sscanf(string(head[i:]), "Content-Length: %d", &length)
		if len(body) == length {
			break
		}
	}
	once := func() {
		c.Write(send)
		if _, err := io.ReadFull(c, buf[:n]); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		once()
	}
	return testing.AllocsPerRun(500, once)
}

// The auth check, and a window of any length beyond its slice list, which is
// reused: 0.
func TestAllocs_Pull(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	pull := func(query string) string {
		return "GET /v1/events/" + m.id + query + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + m.token + "\r\n\r\n"
	}
	empty := roundTrips(t, g, pull(""))
	m.fill(1000)
	for i := range 40 { // of many chunks
		m.post(bigEvent(fmt.Sprint("big", i), 10_000)).want(t, 201)
	}
	health := roundTrips(t, g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	window := roundTrips(t, g, pull("?limit=100"))
	large := roundTrips(t, g, pull("?limit=1000&since=e100"))
	tail := roundTrips(t, g, pull("?limit=1000&since=big38"))
	from := roundTrips(t, g, pull("?limit=100&from=900"))
	last := roundTrips(t, g, pull("?last=10"))
	end := roundTrips(t, g, pull("?from=18446744073709551615"))
	t.Logf("allocations a request: healthz %v, empty page %v, 100 events %v, 900 events and more %v, one event %v, from %v, last %v, at the end %v",
		health, empty, window, large, tail, from, last, end)
	for name, n := range map[string]float64{"empty": empty, "100 events": window, "large": large, "one": tail, "from": from, "last": last, "at the end": end} {
		if n > health {
			t.Errorf("a pull of a page (%s) makes %v allocations, /healthz %v", name, n, health)
		}
	}
	if health > 1 {
		t.Errorf("/healthz makes %v allocations", health)
	}
}

// A post of many events: what a request takes, and next to nothing for each event. Of
// duplicates, which the slot does not keep, that can be told exactly.
func TestAllocs_PostLines(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	lines := func(n int) string {
		var b strings.Builder
		for k := range n {
			fmt.Fprintf(&b, "{\"event_id\": \"id-%d\", \"p\": \"%0300d\"}\n", k, k)
		}
		return b.String()
	}
	told(t, m.postLines(lines(1000)), 1000, 0, 1000)
	post := func(n int) string {
		body := lines(n)
		return fmt.Sprintf("POST /v1/events/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			m.id, m.token, ndjson, len(body), body)
	}
	one, hundred, thousand := roundTrips(t, g, post(1)), roundTrips(t, g, post(100)), roundTrips(t, g, post(1000))
	t.Logf("allocations of a post of 1 line %v, of 100 %v, of 1,000 %v", one, hundred, thousand)
	if one > 8 || hundred > one+8 || thousand > one+24 {
		t.Errorf("a post of 1 line makes %v allocations, of 100 %v, of 1,000 %v", one, hundred, thousand)
	}
}

func TestAllocs_Auth(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	var h fasthttp.RequestHeader
	h.SetMethod(http.MethodGet)
	h.SetRequestURI("/v1/events/" + m.id + "?since=x&limit=5")
	h.Set("Authorization", "Bearer "+m.token)
	var req request
	if n := testing.AllocsPerRun(1000, func() {
		if _, refused := g.relay.admit(&h, &req); refused != nil {
			t.Fatal(refused)
		}
	}); n != 0 {
		t.Errorf("routing and authentication make %v allocations", n)
	}
}

// The same for a client that is limited, whose address a proxy tells.
func TestAllocs_Limits(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "read=1/100000"))
	m := g.allocate()
	for _, addr := range []string{"192.0.2.1", "203.0.113.9, [2001:db8::1]:4711", ""} {
		h := headerOf(t, "Authorization: Bearer "+m.token+"\nX-Forwarded-For: "+addr)
		h.SetRequestURI("/v1/events/" + m.id + "?since=x&limit=5")
		req := request{conn: g.relay.conns.Open(tcpOf(t, g.dial()), conn.Prologue{})}
		if n := testing.AllocsPerRun(1000, func() {
			if _, refused := g.relay.admit(h, &req); refused != nil {
				t.Fatal(refused)
			}
		}); n != 0 {
			t.Errorf("%q: limits, routing and authentication make %v allocations", addr, n)
		}
	}
}

// A delivered event: 0, on a stream that is live. What a post costs with many
// streams open, less what it costs with one, is what delivery costs.
func TestAllocs_StreamEvent(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	id, _ := parseSlot(m.id)
	slot := g.store.Slot(id)
	var streams []*sse
	buf := make([]byte, 4<<10)
	seq := 0
	measure := func() float64 {
		return testing.AllocsPerRun(300, func() {
			seq++
			body := fmt.Appendf(buf[:0], `{"event":{"event_id":"%09d","pad":"xxxxxxxxxxxxxxxxxxxxxxxx"}}`, seq)
			p := g.store.NewPost()
			if err := p.Accept(body); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Commit(slot); err != nil {
				t.Fatal(err)
			}
			p.Release()
			n := len("id: 000000001\ndata: \n\n") + len(body) - len(`{"event":}`)
			for _, s := range streams {
				if _, err := io.ReadFull(s.br, buf[:n]); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	open := func(n int) {
		for len(streams) < n {
			streams = append(streams, m.stream("", ""))
		}
	}
	open(1)
	measure()
	one := measure()
	open(33)
	measure()
	many := measure()
	t.Logf("allocations a post: %v with 1 stream, %v with 33", one, many)
	if many-one > 2 { // below 1/16 a delivered event
		t.Errorf("32 more delivered events make %v more allocations", many-one)
	}
}

// A replayed event: 0. A stream of 2,000 events costs no more than one of none.
func TestAllocs_Replay(t *testing.T) {
	g := newRig(t)
	g.undescribed = true
	m := g.allocate()
	id, _ := parseSlot(m.id)
	const events = 2000
	total := 0
	for i := range events {
		p := g.store.NewPost()
		if err := p.Accept([]byte(`{"event":` + eventN(i) + `}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(g.store.Slot(id)); err != nil {
			t.Fatal(err)
		}
		p.Release()
		total += len(fmt.Sprintf("id: e%d\ndata: %s\n\n", i, eventN(i)))
	}
	buf := make([]byte, total)
	run := func(query string, n int) float64 {
		return testing.AllocsPerRun(20, func() {
			s := m.stream(query, "")
			if _, err := io.ReadFull(s.br, buf[:n]); err != nil {
				t.Fatal(err)
			}
			s.close()
		})
	}
	run("?since=none", total)
	none, all := run("", 0), run("?since=none", total)
	if all-none > events/50 {
		t.Errorf("a stream makes %v allocations, with %d events replayed %v", none, events, all)
	}
}

// A post is not free, but bounded, whatever the slot's length.
func TestAllocs_PostIsBounded(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	id, _ := parseSlot(m.id)
	slot, seq := g.store.Slot(id), 0
	var body []byte
	n := testing.AllocsPerRun(3000, func() {
		seq++
		body = fmt.Appendf(body[:0], `{"event":{"event_id":"%09d"}}`, seq)
		p := g.store.NewPost()
		if err := p.Accept(body); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(slot); err != nil {
			t.Fatal(err)
		}
		p.Release()
	})
	t.Logf("allocations a post: %v", n)
	if n > 20 || invariants.Enabled {
		t.Errorf("a post makes %v allocations", n)
	}
}

// Requests that are not traced cost nothing where others are: neither a poll, nor a
// window, nor a post.
func TestAllocs_NotTraced(t *testing.T) {
	var cost [2][3]float64
	for i, tracer := range []trace.Tracer{nil, noTraces{}} {
		g := newRig(t, func(o *rigOptions) { o.relay.Tracer = tracer })
		m := g.allocate()
		m.fill(100)
		head := " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + m.token + "\r\n"
		body := `{"event":` + eventN(0) + `}` // a duplicate: its reply has the same length each time
		cost[i] = [3]float64{
			roundTrips(t, g, "GET /v1/events/"+m.id+"?since=e99"+head+"\r\n"),
			roundTrips(t, g, "GET /v1/events/"+m.id+"?limit=100"+head+"\r\n"),
			roundTrips(t, g, "POST /v1/events/"+m.id+head+fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))+body),
		}
	}
	if cost[0] != cost[1] || cost[0][0] > 1 || cost[0][1] > 1 {
		t.Errorf("poll, window, post: %v allocations, with a tracer %v", cost[0], cost[1])
	}
}

// noTraces traces nothing.
type noTraces struct{}

func (noTraces) Start(trace.Asked) trace.Span { return nil }
func (noTraces) Counts() (n trace.Counts)     { return n }
