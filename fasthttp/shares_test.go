package fasthttp

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/poll"
	"cowrelay/fasthttp/stream"
)

// streamFrom opens a stream from another address of loopback.
func (m mailbox) streamFrom(from string) *sse {
	m.Helper()
	s, r := m.tryStreamFrom(from)
	if r.status != 200 {
		m.Fatalf("stream from %s: status %d: %s", from, r.status, r.body)
	}
	return s
}

func (m mailbox) tryStreamFrom(from string) (*sse, reply) {
	m.Helper()
	w := m.dialFrom(from)
	w.send("GET /v1/events/" + m.id + "/stream HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
	return w.openStream()
}

// A client has at most half of the streams. When all are taken, the oldest of
// the client that has the most ends, between two frames and with a retry line,
// for one that has clearly less. Everybody else is refused.
func TestShares_Streams(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.MaxStreams = 8 })
	m := g.allocate()
	refused := func(from, text string) {
		t.Helper()
		s, r := m.tryStreamFrom(from)
		if s != nil || r.status != 503 || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, text) {
			t.Errorf("from %s: %d %v %s", from, r.status, r.header, r.body)
		}
	}
	var a, b, c []*sse
	for range 4 {
		a = append(a, m.streamFrom("127.0.0.1"))
	}
	refused("127.0.0.1", "your address")
	for range 4 {
		b = append(b, m.streamFrom("127.0.0.2"))
	}
	refused("127.0.0.2", "your address")
	m.post(eventN(0)).want(t, 201)
	for _, s := range append(a[:4:4], b...) {
		s.want(0, 1) // and then they are idle
	}
	c = append(c, m.streamFrom("127.0.0.3"), m.streamFrom("127.0.0.3"))
	refused("127.0.0.3", "too many streams") // the others have three each, which is not clearly more
	for _, s := range []*sse{a[0], b[0]} {   // one of each, the oldest
		s.wantEnd()
		if s.retry <= 0 {
			t.Error("the end without a retry line")
		}
	}
	refused("127.0.0.1", "too many streams") // who gave way does not push in
	g.refused("stream_share", 2)
	g.refused("streams", 2)
	if n := g.relay.streams.Ended(stream.EndCap); n != 2 {
		t.Errorf("%d streams gave way, want 2", n)
	}
	m.post(eventN(1)).want(t, 201)
	for _, list := range [][]*sse{a[1:], b[1:], c} {
		for _, s := range list {
			s.want(1, 2)
		}
	}
	if c, s, _ := g.relay.streams.Refused(); s != 2 || c != 2 {
		t.Errorf("%d refused over their share, %d over the cap, want 2 and 2", s, c)
	}
	b[1].close()
	g.eventually("there is room", func() bool { s, _ := m.tryStreamFrom("127.0.0.1"); return s != nil })
	if n := g.relay.streams.Len(); n != 8 {
		t.Errorf("%d streams open, want 8", n)
	}
}

// A stream that is to give way and whose client does not read is cut: it keeps
// its place no longer than others are to wait.
func TestShares_StalledStreamGivesWay(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) {
		o.relay.MaxStreams = 4
		o.relay.StreamWriteTimeout = time.Minute
		o.relay.StreamSendBuffer = 8 << 10
	})
	m, quiet := g.allocate(), g.allocate()
	stuck := m.streamFrom("127.0.0.1")
	stuck.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	pad := strings.Repeat("x", 200_000)
	for i := range 60 {
		m.post(fmt.Sprintf(`{"event_id":"s%d","pad":"%s"}`, i, pad)).want(t, 201)
	}
	g.eventually("the stream stalls", func() bool { return g.relay.streams.Stalled() == 1 })
	other := quiet.streamFrom("127.0.0.1")
	quiet.streamFrom("127.0.0.2")
	quiet.streamFrom("127.0.0.3")
	quiet.streamFrom("127.0.0.4") // the stalled one is the oldest of the client with two
	if n := g.relay.streams.Ended(stream.EndCap); n != 1 {
		t.Errorf("%d streams gave way, want 1", n)
	}
	quiet.post(eventN(0)).want(t, 201)
	other.want(0, 1)
}

// What a lower limit leaves goes on, and the books stay right.
func TestShares_LowerLimits(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.MaxStreams, o.relay.MaxWaiters = 8, 8 })
	m := g.allocate()
	var open []*sse
	for range 3 { // less than one client may have, and more than the lower limits
		open = append(open, m.stream("", ""))
		m.longPoll("?wait=25")
	}
	g.eventually("the polls wait", func() bool { return g.relay.polls.Len() == 3 })
	live := *g.relay.live.Load()
	live.MaxStreams, live.MaxWaiters = 2, 2
	g.relay.SetLive(live)
	if _, r := m.tryStream("", ""); r.status != 503 {
		t.Errorf("a stream over the lower limit: %d", r.status)
	}
	m.post(eventN(0)).want(t, 201)
	for _, s := range open {
		s.want(0, 1)
	}
	g.eventually("the polls are answered", func() bool { return g.relay.polls.Len() == 0 })
	for range 3 {
		m.longPoll("?wait=25&since=e0")
	}
	g.eventually("two gave way", func() bool { return g.relay.polls.Ended(poll.EndShare) == 2 })
	for _, s := range open {
		s.close()
	}
	g.eventually("no stream stays", func() bool { return g.relay.streams.Len() == 0 })
}
