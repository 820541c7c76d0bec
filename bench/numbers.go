package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A numbered is one connection of a load that ends when its numbers are used
// up, not when a time is over.
type numbered interface {
	// do performs what belongs to number n and checks the answer.
	do(ctx context.Context, n int) error
	// get connects, so that the first do does not pay for it.
	get(ctx context.Context) (*rawConn, error)
	interrupt()
	close()
}

// runNumbers has conns connections do each number of [from, to) once. It gives
// progress the part that is done, now and then.
func (e *env) runNumbers(ctx context.Context, s *side, conns, from, to int, open func() numbered, progress func(part float64)) (Sample, error) {
	var (
		next, done atomic.Int64
		wg         sync.WaitGroup
		log        errorLog
		ws         []numbered
		out        = Sample{hist: newHistogram()}
		tallies    = make([]tally, min(conns, to-from))
	)
	defer func() {
		for _, w := range ws {
			w.close()
		}
	}()
	for range tallies {
		w := open()
		ws = append(ws, w)
		if _, err := w.get(ctx); err != nil {
			return out, err
		}
	}
	a, err := readUsage(s.pid)
	if err != nil {
		return out, err
	}
	next.Store(int64(from))
	for i, w := range ws {
		t := &tallies[i]
		t.hist = newHistogram()
		wg.Go(func() {
			for errs := 0; ctx.Err() == nil && errs < maxWorkerErrors; {
				n := int(next.Add(1) - 1)
				if n >= to {
					return
				}
				begin := time.Now()
				if err := w.do(ctx, n); err != nil {
					log.add(err)
					errs++
					continue
				}
				t.hist.record(time.Since(begin))
				t.ops++
				done.Add(1)
			}
		})
	}
	awaitNumbers(ctx, &wg, &log, &done, func() {
		progress(float64(done.Load()) / float64(to-from))
	}, func() {
		for _, w := range ws {
			w.interrupt()
		}
	})
	if err := ctx.Err(); err != nil {
		return out, err
	}
	for i := range tallies {
		out.Ops += tallies[i].ops
		out.hist.merge(tallies[i].hist)
	}
	b, err := readUsage(s.pid)
	if err != nil {
		return out, err
	}
	out.Latency = out.hist.latency()
	out.account(a, b)
	log.into(&out)
	// Workers that gave up leave numbers behind.
	if left := int64(to-from) - out.Ops - out.Errors; left > 0 {
		out.Errors += left
	}
	return out, nil
}

// awaitNumbers waits for wg. Workers are interrupted when nothing was done for
// answerGrace, which is counted, and when ctx ends.
func awaitNumbers(ctx context.Context, wg *sync.WaitGroup, log *errorLog, done *atomic.Int64, tick, interrupt func()) {
	defer context.AfterFunc(ctx, interrupt)()
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	every := time.NewTicker(200 * time.Millisecond)
	defer every.Stop()
	last, at := int64(-1), time.Now()
	for {
		select {
		case <-ended:
			tick()
			return
		case <-every.C:
		}
		tick()
		if n := done.Load(); n != last {
			last, at = n, time.Now()
		} else if time.Since(at) > answerGrace {
			log.add(fmt.Errorf("no answer within %v", answerGrace))
			interrupt()
			<-ended
			return
		}
	}
}
