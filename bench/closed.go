package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A worker is one connection of a closed loop: it sends its next request when
// the last one was answered.
type worker interface {
	// do performs one request and checks its answer.
	do(ctx context.Context) error
	// interrupt ends a do that waits; called from another goroutine.
	interrupt()
	// close releases the connection after the last do.
	close()
}

// Phases of a round. A request counts when it ends while measuring.
const (
	warming int32 = iota
	measuring
	draining // still loading, no longer counting
	ended
)

// maxWorkerErrors is when a worker gives up: a server that answers nothing but
// errors would otherwise be measured on those.
const maxWorkerErrors = 20

// A tally is what one worker counted. It is padded, so that workers do not
// share a cache line.
type tally struct {
	ops  int64
	hist histogram
	_    [64]byte
}

// runClosed runs workers for the warm-up and then the measured time.
func (e *env) runClosed(ctx context.Context, s *side, ws []worker) (Sample, error) {
	var (
		phase atomic.Int32
		wg    sync.WaitGroup
		log   errorLog
	)
	tallies := make([]tally, len(ws))
	for i, w := range ws {
		t := &tallies[i]
		t.hist = newHistogram()
		wg.Go(func() { loop(ctx, w, &phase, t, &log) })
	}
	stop := func() {
		phase.Store(ended)
		awaitWorkers(&wg, &log, func() {
			for _, w := range ws {
				w.interrupt()
			}
		})
		for _, w := range ws {
			w.close()
		}
	}
	a, b, err := e.measure(ctx, s, e.cfg.Duration, &phase)
	stop()
	if err != nil {
		return Sample{}, err
	}
	out := Sample{hist: newHistogram()}
	for i := range tallies {
		out.Ops += tallies[i].ops
		out.hist.merge(tallies[i].hist)
	}
	out.Latency = out.hist.latency()
	out.account(a, b)
	log.into(&out)
	return out, nil
}

// measure passes through warm-up and measured time and reads the clocks at
// both ends of the latter.
func (e *env) measure(ctx context.Context, s *side, d time.Duration, phase *atomic.Int32) (a, b usage, err error) {
	if err = e.wait(ctx, e.cfg.Warmup); err != nil {
		return a, b, err
	}
	if a, err = readUsage(s.pid); err != nil {
		return a, b, err
	}
	profiled := e.profile.begin(ctx, s, d)
	phase.Store(measuring)
	if err = e.wait(ctx, d); err != nil {
		return a, b, errors.Join(err, profiled())
	}
	phase.Store(draining)
	b, err = readUsage(s.pid)
	return a, b, errors.Join(err, profiled())
}

func loop(ctx context.Context, w worker, phase *atomic.Int32, t *tally, log *errorLog) {
	errs := 0
	begin := time.Now()
	for phase.Load() != ended {
		err := w.do(ctx)
		end := time.Now()
		switch {
		case err != nil:
			log.add(err)
			if errs++; errs == maxWorkerErrors {
				return
			}
		case phase.Load() == measuring:
			t.ops++
			t.hist.record(end.Sub(begin))
		}
		begin = end
	}
}
