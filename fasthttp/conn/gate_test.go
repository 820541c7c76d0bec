package conn

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/fasthttp/accept"
)

// quickGate is a gate for turns that cost nothing.
func quickGate(cpus float64) *gate {
	g := newGate(cpus)
	g.pace.meter = func() func() time.Duration { return func() time.Duration { return 0 } }
	return g
}

// empty checks that nobody is left in a gate.
func empty(t *testing.T, g *gate) {
	t.Helper()
	for _, q := range []*line{&g.first, &g.next} {
		if len(q.lanes) != 0 || len(q.slots) != 0 {
			t.Errorf("%d lanes and %d slots are left", len(q.lanes), len(q.slots))
		}
	}
}

// However many handshakes a client has begun, another client's is next but those of
// clients that came before it. No more compute at once than may, and a client has one.
func TestGate_Turns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quickGate(2)
		var mu sync.Mutex
		var order []accept.Client
		now := make(map[accept.Client]int)
		var all sync.WaitGroup
		shake := func(client accept.Client) {
			all.Go(func() {
				turn := turn{gate: g, client: client}
				if err := turn.enter(nil); err != nil {
					t.Error(err)
				}
				if err := turn.enter(nil); err != nil { // again
					t.Error(err)
				}
				mu.Lock()
				order = append(order, client)
				now[client]++
				if now[client] > 1 || now[1]+now[2]+now[3] > 2 {
					t.Errorf("%v compute at once", now)
				}
				mu.Unlock()
				time.Sleep(time.Millisecond)
				mu.Lock()
				now[client]--
				mu.Unlock()
				turn.leave()
				turn.leave() // again
			})
		}
		for range 100 {
			shake(1)
		}
		synctest.Wait()
		shake(2)
		shake(3)
		synctest.Wait()
		shake(2)
		all.Wait()
		if len(order) != 103 || !slices.Contains(order[:4], 2) || !slices.Contains(order[:5], 3) {
			t.Errorf("the first are %v of %d", order[:min(len(order), 10)], len(order))
		}
		empty(t, g)
	})
}

// Who waits too long, for its own client's or for others', leaves nothing behind.
func TestGate_Late(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quickGate(1)
		holder := turn{gate: g, client: 1}
		if err := holder.enter(nil); err != nil {
			t.Fatal(err)
		}
		for _, client := range []accept.Client{1, 2} {
			w := turn{gate: g, client: client}
			if err := w.enter(time.After(time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v", err)
			}
			w.leave()
		}
		holder.leave()
		empty(t, g)
		again := turn{gate: g, client: 2}
		if err := again.enter(nil); err != nil {
			t.Error(err)
		}
		again.leave()
	})
}

// A refused connection that rests gives its place to one that needs it.
func TestConn_RestEndsForOthers(t *testing.T) {
	g := newRig(t, nil)
	_, c := g.pair()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.rest(time.Hour)
	}()
	if !g.opts.Places.MakeRoom() {
		t.Fatal("no connection may go")
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it rests on")
	}
}
