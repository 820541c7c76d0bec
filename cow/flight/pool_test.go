package flight

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errBusy   = errors.New("busy")
	errClosed = errors.New("closed")
)

// newTest returns a pool with one turn, room for two requests, and the number of
// waits that it refused.
func newTest() (*Pool, *Group[string, int], *atomic.Int64) {
	var refused atomic.Int64
	p := NewPool(Limits{
		Turns: 1, Waiters: 2, Timeout: 10 * time.Second,
		Busy: errBusy, Closed: errClosed, Refused: func() { refused.Add(1) },
	})
	return p, NewGroup[string, int](p), &refused
}

func TestGroup_OneLoadForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g, _ := newTest()
		loads, got := 0, make(chan int, 3)
		load := func() (int, error) { loads++; time.Sleep(time.Second); return loads, nil }
		for range 2 {
			go func() {
				v, err := g.Wait("a", 1, load, By{})
				if err != nil {
					t.Error(err)
				}
				got <- v
			}()
		}
		synctest.Wait()
		g.Start("a", 1, load, func(v int, err error) { got <- v }, 0)
		for range 3 {
			if v := <-got; v != 1 {
				t.Errorf("got the value of load %d", v)
			}
		}
		// What was loaded is not kept.
		if v, err := g.Wait("a", 1, load, By{}); v != 2 || err != nil {
			t.Errorf("the second load gave %d, %v", v, err)
		}
		p.Stop()
		p.Finish()
	})
}

func TestGroup_AFailureIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, g, _ := newTest()
		fault := errors.New("fault")
		if _, err := g.Wait("a", 1, func() (int, error) { return 0, fault }, By{}); err != fault {
			t.Errorf("error %v", err)
		}
		if v, err := g.Wait("a", 1, func() (int, error) { return 7, nil }, By{}); v != 7 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
	})
}

// Every wait has an end: for a load, for a turn, of a request too many, of one whose
// client has gone, and of all when the pool stops.
func TestPool_WaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, g, refused := newTest()
		release := make(chan struct{})
		slow := func() (int, error) { <-release; return 1, nil }
		errs, ended := make(chan error, 2), make(chan struct{})
		go func() { _, err := g.Wait("a", 1, slow, By{}); errs <- err }()
		go func() { _, err := g.Wait("a", 1, slow, By{Ended: ended}); errs <- err }()
		synctest.Wait()
		if _, err := g.Wait("a", 1, slow, By{}); err != errBusy {
			t.Errorf("one request too many: %v", err)
		}
		close(ended)
		if err := <-errs; err != errClosed {
			t.Errorf("a client that has gone: %v", err)
		}
		began := time.Now()
		if err := <-errs; err != errBusy || time.Since(began) != 10*time.Second {
			t.Errorf("a load that takes too long: %v after %v", err, time.Since(began))
		}
		if err := p.Do(func() error { t.Error("ran without a turn"); return nil }); err != errBusy {
			t.Errorf("no turn: %v", err)
		}
		if n := refused.Load(); n != 3 || p.Running() != 1 || p.Waiting() != 0 {
			t.Errorf("%d waits refused, %d loads run, %d requests wait", n, p.Running(), p.Waiting())
		}
		go func() { errs <- p.Do(func() error { return nil }) }()
		p.Go(func(err error) { errs <- err })
		synctest.Wait()
		p.Stop()
		for range 2 {
			if err := <-errs; err != errClosed {
				t.Errorf("while the pool stops: %v", err)
			}
		}
		g.Start("b", 1, slow, func(_ int, err error) { errs <- err }, 0)
		if err := <-errs; err != errClosed {
			t.Errorf("behind the stop: %v", err)
		}
		close(release)
		p.Finish()
	})
}
