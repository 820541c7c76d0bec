package conn

import (
	"errors"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/fasthttp/accept"
)

// pacedGate is a gate whose turns cost the time that they sleep.
func pacedGate(cpus float64) *gate {
	g := newGate(cpus)
	g.pace.meter = wallMeter
	return g
}

// compute is one part of a handshake.
func compute(t *testing.T, turn *turn, cost time.Duration) {
	if err := turn.enter(nil); err != nil {
		t.Error(err)
	}
	time.Sleep(cost)
	turn.leave()
}

// However many begin, and however many processors there are, handshakes take their share
// of them and no more, but for the slack. It is the share of a quota, too.
func TestPace_Share(t *testing.T) {
	f := func(cpus float64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			g := pacedGate(cpus)
			const count, cost = 1000, time.Millisecond
			begun := time.Now()
			var all sync.WaitGroup
			for i := range count {
				all.Go(func() {
					turn := turn{gate: g, client: accept.Client(i)}
					compute(t, &turn, cost-cost/10)
					compute(t, &turn, cost/10)
				})
			}
			all.Wait()
			took := time.Since(begun)
			want := time.Duration(count * float64(cost) / (cpus * paceShare))
			if took < want-2*paceSlack || took > want+2*paceSlack {
				t.Errorf("%v processors: %v, want %v", cpus, took, want)
			}
			if n := time.Duration(g.pace.computed.Load()); n != count*cost {
				t.Errorf("%v are counted", n)
			}
			if n := time.Duration(g.waited.Load()); n < want {
				t.Errorf("%v of waiting are counted", n)
			}
			empty(t, g)
		})
	}
	f(0.25)
	f(1)
	f(1.5)
	f(4)
}

// Handshakes that take less than their share never wait, also when a few come at once
// and when the relay has done nothing for long.
func TestPace_NoWaitBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pacedGate(1)
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			for range 3 { // 12 ms of the pace, 3 of which pass meanwhile
				compute(t, &turn{gate: g, client: 1}, time.Millisecond)
			}
		}
		if n := g.waited.Load(); n != 0 {
			t.Errorf("they waited %v", time.Duration(n))
		}
		time.Sleep(time.Hour)
		begun := time.Now()
		for range 100 {
			compute(t, &turn{gate: g, client: 1}, time.Millisecond)
		}
		if took := time.Since(begun); took < 400*time.Millisecond-2*paceSlack {
			t.Errorf("an hour of rest pays for 100 of them: %v", took)
		}
	})
}

// A storm of more handshakes than can be done in time: those that have begun end in
// time, and the rest is late. None waits behind all that begin.
func TestPace_Storm(t *testing.T) {
	f := func(clients int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			g := pacedGate(1)
			const most = 10 * time.Second
			var mu sync.Mutex
			done, wasted := 0, 0 // both parts, the first alone
			var all sync.WaitGroup
			for i := range 20_000 {
				all.Go(func() {
					late := time.NewTimer(most)
					defer late.Stop()
					turn := turn{gate: g, client: accept.Client(i % clients)}
					defer turn.leave()
					if turn.enter(late.C) != nil {
						return
					}
					time.Sleep(900 * time.Microsecond)
					turn.leave()
					time.Sleep(20 * time.Millisecond) // the network
					err := turn.enter(late.C)
					if err == nil {
						time.Sleep(100 * time.Microsecond)
					} else if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						done++
					} else {
						wasted++
					}
				})
			}
			all.Wait()
			// At a quarter of a processor 10 s are 2,500 of 1 ms.
			if done < 2450 || done > 2550 || wasted > 50 {
				t.Errorf("%d clients: %d are done, %d were for nothing", clients, done, wasted)
			}
			empty(t, g)
		})
	}
	f(20_000)
	f(1)
}

// Who waits for the pace until it is too late leaves nothing behind.
func TestPace_Late(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := pacedGate(1)
		compute(t, &turn{gate: g, client: 1}, time.Minute)
		w := turn{gate: g, client: 2}
		if err := w.enter(time.After(time.Second)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		w.leave()
		empty(t, g)
		begun := time.Now()
		compute(t, &turn{gate: g, client: 2}, 0)
		if took := time.Since(begun); took != 239*time.Second-paceSlack {
			t.Errorf("the next one waits %v", took)
		}
	})
}
