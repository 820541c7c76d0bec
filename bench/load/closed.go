package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Worker is one connection of a closed loop: it sends the next request when
// the last one was answered.
type Worker interface {
	// Do performs one request and checks its answer.
	Do(ctx context.Context) error
	// Interrupt ends a Do that waits. Another goroutine calls it.
	Interrupt()
	// Close releases the connection after the last Do.
	Close()
}

// Phases of a round, in their order. A request counts if it ends while measuring.
const (
	warming int32 = iota
	Measuring
	draining // still loading, no longer counting
	ended
)

// MaxWorkerErrors is how many errors make a worker give up. Otherwise a server
// that answers nothing but errors would be measured by those.
const MaxWorkerErrors = 20

// A Tally is what one worker counted. The padding keeps workers from sharing a
// cache line.
type Tally struct {
	Ops  int64
	Hist Histogram
	_    [64]byte
}

// RunClosed runs workers for the warm-up and then for the measured time.
func (e *Session) RunClosed(ctx context.Context, s *Server, ws []Worker) (Sample, error) {
	var (
		phase atomic.Int32
		wg    sync.WaitGroup
		log   ErrorLog
	)
	tallies := make([]Tally, len(ws))
	for i, w := range ws {
		t := &tallies[i]
		t.Hist = NewHistogram()
		wg.Go(func() { loop(ctx, w, &phase, t, &log) })
	}
	stop := func() {
		phase.Store(ended)
		AwaitWorkers(&wg, &log, func() {
			for _, w := range ws {
				w.Interrupt()
			}
		})
		for _, w := range ws {
			w.Close()
		}
	}
	a, b, err := e.Measure(ctx, s, e.Duration, &phase)
	stop()
	if err != nil {
		return Sample{}, err
	}
	out := Sample{Hist: NewHistogram()}
	for i := range tallies {
		out.Ops += tallies[i].Ops
		out.Hist.Merge(tallies[i].Hist)
	}
	out.Latency = out.Hist.Latency()
	out.Account(a, b)
	log.Into(&out)
	return out, nil
}

// loop runs one worker until the round has ended, or until it gives up.
func loop(ctx context.Context, w Worker, phase *atomic.Int32, t *Tally, log *ErrorLog) {
	errs := 0
	begin := time.Now()
	for phase.Load() != ended {
		err := w.Do(ctx)
		end := time.Now()
		switch {
		case err != nil:
			log.Add(err)
			if errs++; errs == MaxWorkerErrors {
				return
			}
		case phase.Load() == Measuring:
			t.Ops++
			t.Hist.Record(end.Sub(begin))
		}
		begin = end
	}
}
