package fasthttp

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cow"
)

// unwatched takes a stream out of the watch for clients that leave, as if the
// system never told.
func unwatched(st *stream) { st.streams.hangs.forget(&st.watch) }

// wantPruned waits for a stream to be closed, its subscriber gone, and its
// reason counted.
func wantPruned(g *rig, slot *cow.Slot, reason int) {
	g.Helper()
	g.eventually("the stream is closed", func() bool { return g.relay.streams.open.Load() == 0 })
	if n := slot.Subscribers(); n != 0 || g.store.Stats().Subscribers.Load() != 0 {
		g.Errorf("%d subscribers stay", n)
	}
	for i := range g.relay.streams.ended {
		want := uint64(0)
		if i == reason {
			want = 1
		}
		if n := g.relay.streams.ended[i].Load(); n != want {
			g.Errorf("%d streams ended as %q, want %d", n, endNames[i], want)
		}
	}
	g.eventually("its connection is closed", func() bool { return g.relay.conns.Load() <= 1 }) // the poster's
	if n := g.store.Memory().Frames; n != 0 {
		g.Errorf("%d bytes of frames stay", n)
	}
}

// A stream whose write fails is closed by that, also if nobody hears that its
// client has left: at the next event, or at the next comment.
func TestStreams_FailedWritePrunes(t *testing.T) {
	for _, by := range []string{"event", "comment"} {
		t.Run(by, func(t *testing.T) {
			g := newRig(t, func(o *rigOptions) {
				if by == "comment" {
					o.relay.Heartbeat = 240 * time.Millisecond
				}
			})
			m := g.allocate()
			id, _ := parseSlot(m.id)
			s := m.stream("", "")
			st := onlyStream(g)
			unwatched(st)
			s.Conn.(*net.TCPConn).SetLinger(0) // the client's end is a reset
			s.close()
			if by == "event" {
				time.Sleep(100 * time.Millisecond) // time for whoever might notice by other means
				if g.relay.streams.open.Load() != 1 {
					t.Fatal("the stream is watched by something else: this test would prove nothing")
				}
				m.post(eventN(0)).want(t, 201)
			}
			wantPruned(g, g.store.Slot(id), endWrite)
		})
	}
}

// The same while the stream waits for its socket.
func TestStreams_FailedWriteWhileItWaits(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.StreamSendBuffer = 4 << 10 })
	m := g.allocate()
	id, _ := parseSlot(m.id)
	s := m.stream("", "")
	s.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	st := onlyStream(g)
	unwatched(st)
	for range 40 { // of 200 kB: more than loopback swallows
		m.post(`{"pad":"`+strings.Repeat("p", 200_000)+`"}`).want(t, 201)
	}
	g.eventually("the stream waits", func() bool { return st.state.Load() == streamWaiting })
	s.Conn.(*net.TCPConn).SetLinger(0)
	s.close()
	wantPruned(g, g.store.Slot(id), endWrite)
}

// faultyRaw is a connection of which the panicAt-th write panics. The writes
// before it go to a pipe that is full.
type faultyRaw struct {
	syscall.RawConn
	panicAt int32
	full    int
	writes  atomic.Int32
}

func (f *faultyRaw) Write(do func(fd uintptr) bool) error {
	if f.writes.Add(1) == f.panicAt {
		panic("BUG: a panic for this test")
	}
	do(uintptr(f.full))
	return nil
}

// fullPipe returns the writing end of a pipe that takes nothing.
func fullPipe(t *testing.T) int {
	t.Helper()
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(p[0]); syscall.Close(p[1]) })
	if err := syscall.SetNonblock(p[1], true); err != nil {
		t.Fatal(err)
	}
	for junk := make([]byte, 64<<10); ; {
		if _, err := syscall.Write(p[1], junk); err != nil {
			return p[1]
		}
	}
}

// A panic anywhere on a stream's path costs that stream alone: it is closed,
// counted and told with its stack; the loops that serve the others go on.
func TestPanic_OnAStreamsPath(t *testing.T) {
	for name, poison := range map[string]struct {
		panics uint64
		// what to do to a stream, which the caller has, to have it panic
		do func(t *testing.T, m mailbox, s *sse, st *stream)
	}{
		"write": {1, func(t *testing.T, m mailbox, _ *sse, st *stream) {
			st.raw = &faultyRaw{panicAt: 1}
			st.state.Store(streamIdle)
			m.post(eventN(0)).want(t, 201)
		}},
		"wait for the socket": {1, func(t *testing.T, m mailbox, _ *sse, st *stream) {
			st.raw = &faultyRaw{panicAt: 2, full: fullPipe(t)}
			st.state.Store(streamIdle)
			m.post(eventN(0)).want(t, 201)
		}},
		// What reads the slot is broken, and so is its closing.
		"load": {2, func(t *testing.T, m mailbox, _ *sse, st *stream) {
			st.sub.Close()
			st.sub = new(cow.Subscriber)
			st.streams.waits.Go(st.load)
		}},
		"hang-up": {1, func(t *testing.T, m mailbox, s *sse, st *stream) {
			st.sub.Close()
			st.streams.hangs.mu.Lock()
			st.sub = new(cow.Subscriber)
			st.streams.hangs.mu.Unlock()
			s.close()
		}},
		"wheel": {1, func(t *testing.T, m mailbox, _ *sse, st *stream) {
			st.streams.wheel.each(func(other *stream) {
				if other == st {
					panic("BUG: a panic for this test")
				}
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(o *rigOptions) { o.relay.Heartbeat = 240 * time.Millisecond })
			g.panics = poison.panics
			bad, good := g.allocate(), g.allocate()
			s := bad.stream("", "")
			st := onlyStream(g)
			other := good.stream("", "")
			g.eventually("it is ours", func() bool { return st.state.CompareAndSwap(streamIdle, streamWaiting) })
			poison.do(t, bad, s, st)
			g.eventually("it is closed", func() bool { return g.relay.streams.open.Load() == 1 })
			if n := g.relay.streams.ended[endPanic].Load(); n != 1 || g.relay.panics.Load() != poison.panics {
				t.Errorf("%d streams ended by a panic of %d counted; want 1 of %d", n, g.relay.panics.Load(), poison.panics)
			}
			if n := g.store.Stats().Subscribers.Load(); n != 1 {
				t.Errorf("%d subscribers, want the other's", n)
			}
			if h := st.streams.hangs; len(h.table)-len(h.spare) != 1 {
				t.Errorf("%d places are watched, want the other's", len(h.table)-len(h.spare))
			}
			g.eventually("its connection is closed", func() bool { return g.relay.conns.Load() <= 2 })
			// The others are served: events, comments, the hang-up of a client.
			good.post(eventN(0)).want(t, 201)
			other.want(0, 1)
			for was := other.comments; other.comments == was; {
				line, err := other.br.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(line, ":") {
					other.comments++
				}
			}
			other.close()
			g.eventually("the other's end is noticed", func() bool { return g.relay.streams.ended[endClient].Load() == 1 })
		})
	}
}

// brokenConn is a connection that can't become a stream's.
type brokenConn struct{ net.Conn }

func (brokenConn) SetWriteBuffer(int) error { return nil }

func (brokenConn) SyscallConn() (syscall.RawConn, error) { panic("BUG: a panic for this test") }

type brokenListener struct{ net.Listener }

func (l brokenListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return brokenConn{c}, err
}

// The same where a stream takes its connection over.
func TestPanic_AtAStreamsStart(t *testing.T) {
	g := newRig(t)
	g.panics = 1
	m := g.allocate()
	good := m.stream("", "")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { g.relay.Serve(brokenListener{ln}) })
	defer serving.Wait()
	w := dial(t, ln.Addr().String())
	w.send(m.streamRequest("HTTP/1.1", "", ""))
	w.ends()
	g.eventually("it is closed", func() bool { return g.relay.streams.open.Load() == 1 })
	if n := g.relay.streams.ended[endPanic].Load(); n != 1 || g.relay.panics.Load() != 1 {
		t.Errorf("%d streams ended by a panic of %d counted; want 1 of 1", n, g.relay.panics.Load())
	}
	if n := g.store.Stats().Subscribers.Load(); n != 1 {
		t.Errorf("%d subscribers, want the other's", n)
	}
	m.post(eventN(0)).want(t, 201)
	good.want(0, 1)
	g.stop()
}
