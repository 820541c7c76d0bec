package stream

import (
	"testing"
	"time"
)

// An event that becomes visible while the head, a comment or another control line
// is being written is timed by the write of the event.
func TestLag_EventDuringAControlLine(t *testing.T) {
	g := newRig(t)
	slot := g.allocate()
	s, st := g.open(slot)
	g.eventually("the stream is idle", func() bool { return st.state.CompareAndSwap(stateIdle, stateRunning) })
	g.post(slot, eventN(0)) // the test is its writer meanwhile
	st.control = []byte(":\n")
	st.wrote(2, true)
	st.requeue()
	s.want(0, 1)
	g.eventually("the event is timed", func() bool { return g.lags.Load() == 1 })
}

// A wake whose event was written before, or that asks for a comment, is not where
// the next lag begins.
func TestLag_BeginsWithAnEvent(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.streams.Heartbeat = 20 * time.Millisecond })
	slot := g.allocate()
	s, st := g.open(slot)
	st.Wake(1)
	s.wantComment()
	s.wantComment()
	g.eventually("no lag has begun", func() bool { return st.state.Load() == stateIdle && st.wokenNs.Load() == 0 })
	if n := g.lags.Load(); n != 0 {
		t.Errorf("%d lags without an event", n)
	}
	g.post(slot, eventN(0))
	s.want(0, 1)
	g.eventually("the event is timed", func() bool { return g.lags.Load() == 1 })
}
