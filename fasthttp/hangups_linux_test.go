package fasthttp

import (
	"net"
	"runtime"
	"testing"
	"time"
)

// A slot with as many streams as it may have takes a new one as soon as a client
// has left, whether or not the relay has heard of that yet.
func TestHangups_MakeRoomAtOnce(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.StreamsPerSlot = 16 })
	m := g.allocate()
	g.relay.streams.hangs.sweeping.Lock() // nothing is heard
	var open []*sse
	for range 16 {
		open = append(open, m.stream("", ""))
	}
	for _, s := range open[:5] {
		s.close()
	}
	time.AfterFunc(50*time.Millisecond, g.relay.streams.hangs.sweeping.Unlock)
	for range 5 {
		open = append(open, m.stream("", "")) // fails unless it is 200
	}
	if r := m.call("GET", "/v1/events/"+m.id+"/stream", m.token, nil); r.status != 503 {
		t.Errorf("one stream too many: %d", r.status)
	}
	for _, s := range open[5:] {
		s.close()
	}
	g.eventually("no stream stays", func() bool { return g.relay.streams.open.Load() == 0 })
}

// An idle stream has no goroutine, and the place of a closed one is used again.
func TestHangups_NoGoroutineAStream(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	before := runtime.NumGoroutine()
	for range 3 {
		var open []*sse
		for range 200 {
			open = append(open, m.stream("", ""))
		}
		g.eventually("no goroutine a stream", func() bool { return runtime.NumGoroutine() < before+20 })
		for _, s := range open {
			s.close()
		}
		g.eventually("no stream stays", func() bool { return g.relay.streams.open.Load() == 0 })
	}
	h := g.relay.streams.hangs
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.table) > 250 || len(h.spare) != len(h.table) {
		t.Errorf("%d places, %d of them free, after three times 200 streams", len(h.table), len(h.spare))
	}
}

// A stream that is closed just as it is to be watched leaves its place.
func TestHangups_ClosedBeforeItIsWatched(t *testing.T) {
	g := newRig(t)
	h := g.relay.streams.hangs
	w := g.dial()
	raw, err := w.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	st := &stream{raw: raw}
	st.closed.Store(true)
	h.forget(st) // as close does, too early
	if !h.watch(st) {
		t.Fatal("an open connection can't be watched")
	}
	if len(h.spare) != len(h.table) || st.watch != 0 {
		t.Errorf("a closed stream keeps its place: %d places, %d free", len(h.table), len(h.spare))
	}
}

// Without an epoll instance each stream has a goroutine again, and its client's
// leaving is noticed as before.
func TestHangups_WithoutEpoll(t *testing.T) {
	g := newRig(t)
	s := g.relay.streams
	s.hangs.close()
	s.readers.Wait()
	s.hangs = &hangups{epoll: -1}
	s.readers.Go(s.hangs.run)
	m := g.allocate()
	stream := m.stream("", "")
	m.post(eventN(1)).want(t, 201)
	stream.next()
	s.hangs.sweep()
	stream.close()
	g.eventually("the stream to end", func() bool { return s.open.Load() == 0 })
}
