package flight

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// One client wants a hundred loads. The others come later and wait for one of those,
// not for all.
func TestLines_ClientsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(Limits{Turns: 1, Waiters: 1000, Timeout: time.Hour, Busy: errBusy, Closed: errClosed, Refused: func() {}})
		g := NewGroup[int, int](p)
		var loaded []int // by the one load that runs
		load := func(key int) func() (int, error) {
			return func() (int, error) {
				time.Sleep(time.Second)
				loaded = append(loaded, key)
				return key, nil
			}
		}
		var waiters sync.WaitGroup
		bytes := int64(1)
		want := func(key int, client uint64) {
			bytes := bytes
			waiters.Go(func() {
				if _, err := g.Wait(key, bytes, load(key), By{Client: client}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		for i := range 100 {
			want(i, 1)
		}
		// A long load comes when its client could have had as many short ones.
		bytes = 3 * quantum
		want(3000, 4)
		bytes = 1
		want(1000, 2)
		want(1001, 2)
		want(2000, 3)
		want(50, 3) // it stands in the line of client 1, too
		waiters.Wait()
		if got := loaded[:9]; !slices.Equal(got, []int{0, 1, 1000, 2000, 2, 1001, 50, 3, 3000}) {
			t.Errorf("loaded %v first", got)
		}
		synctest.Wait()
		if len(loaded) != 104 {
			t.Errorf("%d loads, want 104", len(loaded))
		}
		if p.Running() != 0 || len(p.lines.of) != 0 || len(p.lines.order) != 0 {
			t.Errorf("%d loads run, and %d clients have lines", p.Running(), len(p.lines.of))
		}
		p.Stop()
		p.Finish()
	})
}

// Loads that gave up, or that several clients want, take no turn that another should
// have, and no turn is lost.
func TestLines_AtRandom(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := lines{of: make(map[uint64]*line)}
		waiting := map[*ticket]bool{}
		for range 500 {
			switch rng.IntN(4) {
			case 0, 1:
				tk := &ticket{turn: make(chan struct{}), cost: costOf(rng.Int64N(20 * quantum))}
				waiting[tk] = true
				for range 1 + rng.IntN(20) {
					l.add(tk, rng.Uint64N(8)*rng.Uint64N(8))
				}
			case 2:
				for tk := range waiting { // any of them gives up
					tk.over = true
					delete(waiting, tk)
					break
				}
			case 3:
				tk := l.next()
				if (tk == nil) != (len(waiting) == 0) || tk != nil && (!waiting[tk] || tk.over) {
					t.Fatalf("seed %d: a turn for %v while %d wait", seed, tk, len(waiting))
				}
				if tk != nil {
					tk.over = true
					delete(waiting, tk)
				}
			}
		}
		for range waiting {
			tk := l.next()
			if tk == nil || !waiting[tk] || tk.over {
				t.Fatalf("seed %d: no turn at the end", seed)
			}
			tk.over = true
		}
		if l.next() != nil || len(l.of) != 0 || len(l.order) != 0 {
			t.Fatalf("seed %d: something is left", seed)
		}
	}
}
