package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// A Numbered is one connection of a load that ends when all numbers are done,
// and not after a time.
type Numbered interface {
	// Do performs what belongs to number n and checks the answer.
	Do(ctx context.Context, n int) error
	// Get connects, so that the first Do does not pay for that.
	Get(ctx context.Context) (*wire.Conn, error)
	Interrupt()
	Close()
}

// RunNumbers has conns connections do each number in [from, to) once. It calls
// progress now and then with the part that is done.
func (e *Session) RunNumbers(ctx context.Context, s *Server, conns, from, to int, open func() Numbered, progress func(part float64)) (Sample, error) {
	var (
		next, done atomic.Int64
		wg         sync.WaitGroup
		log        ErrorLog
		ws         []Numbered
		out        = Sample{Hist: NewHistogram()}
		tallies    = make([]Tally, min(conns, to-from))
	)
	defer func() {
		for _, w := range ws {
			w.Close()
		}
	}()
	for range tallies {
		w := open()
		ws = append(ws, w)
		if _, err := w.Get(ctx); err != nil {
			return out, err
		}
	}
	a, err := proc.ReadUsage(s.PID)
	if err != nil {
		return out, err
	}
	next.Store(int64(from))
	for i, w := range ws {
		t := &tallies[i]
		t.Hist = NewHistogram()
		wg.Go(func() {
			for errs := 0; ctx.Err() == nil && errs < MaxWorkerErrors; {
				n := int(next.Add(1) - 1)
				if n >= to {
					return
				}
				begin := time.Now()
				if err := w.Do(ctx, n); err != nil {
					log.Add(err)
					errs++
					continue
				}
				t.Hist.Record(time.Since(begin))
				t.Ops++
				done.Add(1)
			}
		})
	}
	awaitNumbers(ctx, &wg, &log, &done, func() {
		progress(float64(done.Load()) / float64(to-from))
	}, func() {
		for _, w := range ws {
			w.Interrupt()
		}
	})
	if err := ctx.Err(); err != nil {
		return out, err
	}
	for i := range tallies {
		out.Ops += tallies[i].Ops
		out.Hist.Merge(tallies[i].Hist)
	}
	b, err := proc.ReadUsage(s.PID)
	if err != nil {
		return out, err
	}
	out.Latency = out.Hist.Latency()
	out.Account(a, b)
	log.Into(&out)
	// Workers that gave up have left numbers undone: these are errors too.
	if left := int64(to-from) - out.Ops - out.Errors; left > 0 {
		out.Errors += left
	}
	return out, nil
}

// awaitNumbers waits for wg. It interrupts the workers when ctx ends, and when
// nothing was done for wire.AnswerGrace, which is an error.
func awaitNumbers(ctx context.Context, wg *sync.WaitGroup, log *ErrorLog, done *atomic.Int64, tick, interrupt func()) {
	defer context.AfterFunc(ctx, interrupt)()
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	every := time.NewTicker(200 * time.Millisecond)
	defer every.Stop()
	last, since := int64(-1), time.Now()
	for {
		select {
		case <-ended:
			tick()
			return
		case <-every.C:
		}
		tick()
		if n := done.Load(); n != last {
			last, since = n, time.Now()
		} else if time.Since(since) > wire.AnswerGrace {
			log.Add(fmt.Errorf("no answer within %v", wire.AnswerGrace))
			interrupt()
			<-ended
			return
		}
	}
}
