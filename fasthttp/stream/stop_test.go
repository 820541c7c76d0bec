package stream

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A stream that starts when the others have been told to leave is told too.
func TestDrain_LateStart(t *testing.T) {
	g := newRig(t)
	slot := g.allocate()
	early, _ := g.open(slot)
	g.draining.Store(true)
	late, _ := g.open(slot)
	late.wantEnd()
	if late.retryMs < 500 {
		t.Errorf("retry after %d ms", late.retryMs)
	}
	g.stop()
	early.wantEnd()
	if n := g.set.Ended(EndDrain); n != 2 {
		t.Errorf("%d streams ended by the drain, want 2", n)
	}
}

// Whatever a stream waits for, Stop is over when its time is.
func TestStop_WaitThatHangs(t *testing.T) {
	g := newRig(t)
	set := New(g.set.env, Options{})
	hang := make(chan struct{})
	set.waits.Go(func() { <-hang })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	set.Stop(ctx)
	if ctx.Err() == nil {
		t.Error("Stop did not wait")
	}
	close(hang)
	set.waits.Wait()
}

// A stream whose connection broke before it was the stream's own gives all back.
func TestStream_T4_Abandoned(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.most = 2 })
	slot := g.allocate()
	st, err := g.set.Open(Opening{Client: 1, Slot: slot, Grant: g.grant(slot), Chunked: true, Head: Head(true)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.set.Open(Opening{Client: 1, Slot: slot, Grant: g.grant(slot), Chunked: true, Head: Head(true)}); !errors.Is(err, ErrShare) {
		t.Errorf("a stream over the share of its client: %v", err)
	}
	st.Abandon()
	st.Abandon()
	if n := g.set.Len() + g.set.books.Used() + g.store.Stats().Subscribers.Load(); n != 0 {
		t.Errorf("it leaves %d behind", n)
	}
	if n := g.set.Ended(EndClient); n != 1 {
		t.Errorf("%d streams ended by their clients, want 1", n)
	}
}
