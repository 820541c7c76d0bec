package cow

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// postFor has posters post for so long, each to a slot of its own, each every so
// often: 0 means as soon as the last post is answered. A commit takes 0.3 ms. It
// returns how many posts and commits there were, and what a post took.
func postFor(t *testing.T, long, wait time.Duration, posters int, every time.Duration) (posts, commits int64, mean time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.c.company.wait = wait
		w.c.company.timer = time.NewTimer(time.Hour) // of this test's clock
		write := w.c.env.write
		w.c.env.write = func(groups []Group) {
			time.Sleep(300 * time.Microsecond)
			commits++
			write(groups)
		}
		stop := make(chan struct{})
		var loop, wg sync.WaitGroup
		loop.Go(func() {
			for w.c.turn() || w.c.rest(stop) {
			}
		})
		var n, took atomic.Int64
		end := time.Now().Add(long)
		for i := range posters {
			slot := &Slot{id: NewID()}
			wg.Go(func() {
				next := time.Now().Add(every * time.Duration(i) / time.Duration(posters))
				for next.Before(end) {
					time.Sleep(time.Until(next))
					began := time.Now()
					p := &Post{queue: w.c.queue, done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
					if err := p.Accept([]byte(`{"event":{"a":1}}`)); err != nil {
						t.Error(err)
					}
					if _, err := p.Commit(slot); err != nil {
						t.Error(err)
					}
					took.Add(int64(time.Since(began)))
					n.Add(1)
					if next = next.Add(every); every == 0 {
						next = time.Now().Add(20 * time.Microsecond) // what its client takes
					}
				}
			})
		}
		wg.Wait()
		w.c.queue.close()
		close(stop)
		loop.Wait()
		posts, mean = n.Load(), time.Duration(took.Load()/n.Load())
	})
	return posts, commits, mean
}

// Posts that come one by one from many share a sync when batches are held back. The
// clock is a virtual one, so the numbers are exact.
func TestCommit_WaitsForCompany(t *testing.T) {
	const wait = time.Millisecond
	_, without, _ := postFor(t, time.Second, 0, 64, 64*200*time.Microsecond)
	posts, with, mean := postFor(t, time.Second, wait, 64, 64*200*time.Microsecond)
	if posts < 4900 || with > 1200 || without < 2*with {
		t.Errorf("%d posts took %d commits, and %d without the wait", posts, with, without)
	}
	if mean > wait+300*time.Microsecond {
		t.Errorf("a post took %v", mean)
	}
}

// Where each client waits for its answer, nobody waits for others who don't come.
func TestCommit_WaitsNotInVain(t *testing.T) {
	long := time.Second
	if testing.Short() {
		long /= 10 // still some hundred posts, by the virtual clock
	}
	for _, posters := range []int{1, 2, 4, 8, 15, 64} {
		without, _, _ := postFor(t, long, 0, posters, 0)
		with, _, mean := postFor(t, long, time.Millisecond, posters, 0)
		if with < without*8/10 {
			t.Errorf("%d posters: %d posts, %d without the wait; one takes %v", posters, with, without, mean)
		}
	}
}
