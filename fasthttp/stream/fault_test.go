package stream

import (
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cow"
)

// unwatched takes a stream out of the watch for clients that leave, as if the
// system never told.
func unwatched(st *Stream) { st.set.hangs.forget(&st.watch) }

// A stream whose write fails is closed by that, also if nobody hears that its
// client has left: at the next event, or at the next comment.
func TestStream_FailedWritePrunes(t *testing.T) {
	for _, by := range []string{"event", "comment"} {
		t.Run(by, func(t *testing.T) {
			g := newRig(t, func(o *rigOptions) {
				if by == "comment" {
					o.streams.Heartbeat = 240 * time.Millisecond
				}
			})
			slot := g.allocate()
			s, st := g.open(slot)
			unwatched(st)
			s.SetLinger(0) // the client's end is a reset
			s.Close()
			if by == "event" {
				time.Sleep(100 * time.Millisecond) // time for whoever might notice by other means
				if g.set.Len() != 1 {
					t.Fatal("the stream is watched by something else: this test would prove nothing")
				}
				g.post(slot, eventN(0))
			}
			g.wantPruned(st, EndWrite)
		})
	}
}

// The same while the stream waits for its socket.
func TestStream_FailedWriteWhileItWaits(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.streams.SendBuffer = 4 << 10 })
	slot := g.allocate()
	s, st := g.open(slot)
	s.SetReadBuffer(4 << 10)
	unwatched(st)
	for range 40 { // of 200 kB: more than loopback swallows
		g.post(slot, `{"pad":"`+strings.Repeat("p", 200_000)+`"}`)
	}
	g.eventually("the stream waits", func() bool { return st.state.Load() == stateWaiting })
	if n := g.set.Stalled(); n != 1 {
		t.Errorf("%d streams are said to be stalled, want 1", n)
	}
	s.SetLinger(0)
	s.Close()
	g.wantPruned(st, EndWrite)
}

// A stream that is within a frame when its slot goes is cut there: its client
// sees that this was not the end, and drops the part.
func TestStream_GoneWithinAFrame(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.streams.SendBuffer = 4 << 10 })
	slot := g.allocate()
	s, st := g.open(slot)
	s.SetReadBuffer(4 << 10)
	const events = 40 // of 200 kB: more than loopback swallows
	for range events {
		g.post(slot, `{"pad":"`+strings.Repeat("p", 200_000)+`"}`)
	}
	g.eventually("the stream waits within a frame", func() bool {
		return st.state.Load() == stateWaiting && !st.sub.Between()
	})
	if err := g.store.Remove(slot); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		data, err := s.frame()
		if err == nil {
			continue
		}
		if err != io.ErrUnexpectedEOF || n >= events {
			t.Fatalf("after %d frames: %.100q, %v; want a cut", n, data, err)
		}
		break
	}
	g.wantPruned(st, EndGone)
}

// What a stream said last takes no memory while it is idle.
func TestStream_T1_IdleHoldsNothing(t *testing.T) {
	g := newRig(t)
	slot := g.allocate()
	s, st := g.open(slot)
	g.post(slot, eventN(0))
	s.want(0, 1)
	g.eventually("the stream is idle", func() bool { return st.state.Load() == stateIdle })
	if st.control != nil {
		t.Errorf("an idle stream keeps %d bytes", cap(st.control))
	}
	if n := g.lags.Load(); n != 1 {
		t.Errorf("%d writes of events were timed, want 1", n)
	}
}

// A panic in one stream's write ends that stream alone.
func TestPanic_InAStream(t *testing.T) {
	g := newRig(t)
	slot := g.allocate()
	bad, st := g.open(slot)
	good, other := g.open(slot)
	g.post(slot, eventN(0))
	bad.want(0, 1)
	good.want(0, 1)
	g.eventually("both are idle", func() bool { return st.state.Load() == stateIdle && other.state.Load() == stateIdle })
	st.raw = nil
	g.post(slot, eventN(1))
	good.want(1, 2)
	if data, err := bad.frame(); err == nil {
		t.Errorf("the faulty stream goes on: %q", data)
	}
	if n := g.set.Ended(EndPanic); n != 1 || g.panics.Load() != 1 {
		t.Errorf("%d streams ended by a panic, want 1", n)
	}
	g.post(slot, eventN(2))
	good.want(2, 3)
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
// counted and told of; the loops that serve the others go on.
func TestPanic_OnAStreamsPath(t *testing.T) {
	for name, poison := range map[string]struct {
		panics int64
		// what to do to a stream, which the caller has, to have it panic
		do func(t *testing.T, g *rig, slot *cow.Slot, s *sse, st *Stream)
	}{
		"write": {1, func(t *testing.T, g *rig, slot *cow.Slot, _ *sse, st *Stream) {
			st.raw = &faultyRaw{panicAt: 1}
			st.state.Store(stateIdle)
			g.post(slot, eventN(0))
		}},
		"wait for the socket": {1, func(t *testing.T, g *rig, slot *cow.Slot, _ *sse, st *Stream) {
			st.raw = &faultyRaw{panicAt: 2, full: fullPipe(t)}
			st.state.Store(stateIdle)
			g.post(slot, eventN(0))
		}},
		// What reads the slot is broken, and so is its closing.
		"load": {2, func(t *testing.T, g *rig, _ *cow.Slot, _ *sse, st *Stream) {
			st.sub.Close()
			st.sub = new(cow.Subscriber)
			g.set.waits.Go(st.load)
		}},
		"hang-up": {1, func(t *testing.T, g *rig, _ *cow.Slot, s *sse, st *Stream) {
			st.sub.Close()
			g.set.hangs.mu.Lock() // orders this before the event
			st.sub = new(cow.Subscriber)
			g.set.hangs.mu.Unlock()
			s.Close()
		}},
		"wheel": {1, func(t *testing.T, g *rig, _ *cow.Slot, _ *sse, st *Stream) {
			g.set.wheel.each(func(other *Stream) {
				if other == st {
					panic("BUG: a panic for this test")
				}
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(o *rigOptions) { o.streams.Heartbeat = 240 * time.Millisecond })
			bad, good := g.allocate(), g.allocate()
			s, st := g.open(bad)
			other, _ := g.open(good)
			g.eventually("it is ours", func() bool { return st.state.CompareAndSwap(stateIdle, stateWaiting) })
			poison.do(t, g, bad, s, st)
			g.eventually("it is closed", func() bool { return g.set.Len() == 1 })
			if n := g.set.Ended(EndPanic); n != 1 || g.panics.Load() != poison.panics {
				t.Errorf("%d streams ended by a panic of %d counted; want 1 of %d", n, g.panics.Load(), poison.panics)
			}
			if n := g.store.Stats().Subscribers.Load(); n != 1 {
				t.Errorf("%d subscribers, want the other's", n)
			}
			if n := g.set.hangs.Watched(); n != 1 {
				t.Errorf("%d places are watched, want the other's", n)
			}
			g.wantClosed(st)
			// The others are served: events, comments, the hang-up of a client.
			g.post(good, eventN(0))
			other.want(0, 1)
			other.wantComment()
			other.Close()
			g.eventually("the other's end is noticed", func() bool { return g.set.Ended(EndClient) == 1 })
		})
	}
}
