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
	h.forget(&st.watch) // as close does, too early
	g.relay.streams.watch(st)
	if len(h.table) != 1 {
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
	s.hangs = new(hangups)
	s.readers.Go(s.hangs.run)
	m := g.allocate()
	stream := m.stream("", "")
	m.post(eventN(1)).want(t, 201)
	stream.next()
	s.hangs.sweep()
	stream.close()
	g.eventually("the stream to end", func() bool { return s.open.Load() == 0 })
}

// noPlaces checks that no connection is watched.
func (g *rig) noPlaces() {
	g.Helper()
	h := g.relay.streams.hangs
	g.eventually("no connection is watched", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.spare) == len(h.table)
	})
}

// A slot with as many long polls as it may have takes a new one as soon as a
// client has left, whether or not the relay has heard of that yet.
func TestHangups_LongPollsMakeRoomAtOnce(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.StreamsPerSlot = 8 })
	m := g.allocate()
	var open []*wire
	for range 8 {
		w := g.dial()
		m.longPollOn(w, "?wait=25")
		open = append(open, w)
	}
	g.eventually("the polls wait", func() bool { return m.subscribers() == 8 })
	g.relay.streams.hangs.sweeping.Lock() // nothing is heard
	for _, w := range open[:3] {
		w.Conn.Close()
	}
	time.AfterFunc(50*time.Millisecond, g.relay.streams.hangs.sweeping.Unlock)
	for range 3 {
		w := g.dial()
		m.longPollOn(w, "?wait=25")
		open = append(open, w)
	}
	g.eventually("the new polls wait", func() bool {
		return m.subscribers() == 8 && g.relay.polls.ended[pollClient].Load() == 3
	})
	if r := <-m.longPoll("?wait=25"); r.status != 503 {
		t.Errorf("one long poll too many: %d", r.status)
	}
	for _, w := range open[3:] {
		w.Conn.Close()
	}
	g.nothingWaits()
}

// As many streams as there may be, in all and of one client: those whose clients
// have left make room at once.
func TestHangups_MakeRoomInShares(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.MaxStreams = 6 })
	m := g.allocate()
	var open []*sse
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		for range 3 {
			open = append(open, m.streamFrom(from))
		}
	}
	for i, from := range []string{"127.0.0.1", "127.0.0.3"} {
		g.relay.streams.hangs.sweeping.Lock() // nothing is heard
		open[i].close()
		time.AfterFunc(50*time.Millisecond, g.relay.streams.hangs.sweeping.Unlock)
		open = append(open, m.streamFrom(from)) // fails unless it is 200
	}
	if n := g.relay.streams.ended[endCap].Load(); n != 0 {
		t.Errorf("%d streams had to give way", n)
	}
}

// Without an epoll instance a long poll waits for its time, its client there or
// not.
func TestHangups_LongPollWithoutEpoll(t *testing.T) {
	g := newRig(t)
	s := g.relay.streams
	s.hangs.close()
	s.readers.Wait()
	s.hangs = new(hangups)
	s.readers.Go(s.hangs.run)
	m := g.allocate()
	if r := (<-m.longPoll("?wait=1")).want(t, 200); r.body != "[]" {
		t.Error(r.body)
	}
	g.nothingWaits()
}
