package pullers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// prepare reads the slot back, so that windows can be checked byte for byte.
// Batches need nothing before.
func (t *Task) prepare(ctx context.Context) (*pullLoad, error) {
	tmpl, err := wire.NewTemplate(t.EventBytes, t.Nonce)
	if err != nil {
		return nil, err
	}
	s := &load.Server{Name: t.Side, Addr: t.Addr, Prefix: t.Prefix, Header: t.Header}
	if t.Batch > 0 {
		starts := uint64(0)
		return &pullLoad{workers: t.Pullers, log: &load.ErrorLog{}, open: func() load.Worker {
			starts++
			return load.NewBatchPoster(tmpl, s, t.Batch, starts*load.NumbersPerPoster)
		}}, nil
	}
	e := &load.Session{Template: tmpl}
	m, err := e.ReadBack(ctx, s, load.Slot{ID: t.Slot, Token: t.Token}, t.Count, t.Page)
	if err != nil {
		return nil, fmt.Errorf("cannot read a slot back: %w", err)
	}
	return &pullLoad{workers: t.Pullers, log: &load.ErrorLog{}, open: func() load.Worker {
		return load.NewPuller(tmpl, s, m, t.Page)
	}}, nil
}

// A pullLoad is the pullers of this process, or its posters of batches.
type pullLoad struct {
	open    func() load.Worker // makes one
	workers int                // how many

	ws     []load.Worker
	counts []pullCount
	log    *load.ErrorLog
	cancel context.CancelFunc // nil: not started
	wg     sync.WaitGroup
}

// A pullCount is how many requests one worker made. The padding keeps pullers
// from sharing a cache line.
type pullCount struct {
	n atomic.Int64
	_ [56]byte
}

// start starts the workers. With a rate they make that many requests a second, all
// together; with 0 they never rest.
func (l *pullLoad) start(ctx context.Context, rate float64) {
	ctx, l.cancel = context.WithCancel(ctx)
	n := l.workers
	l.ws, l.counts, l.log = nil, make([]pullCount, n), &load.ErrorLog{}
	begin := time.Now()
	for i := range n {
		w := l.open()
		l.ws = append(l.ws, w)
		if rate > 0 {
			each := time.Duration(float64(n) / rate * float64(time.Second))
			w = &pacedWorker{Worker: w, each: each, next: begin.Add(each * time.Duration(i) / time.Duration(n))}
		}
		l.wg.Go(func() {
			for errs := 0; ctx.Err() == nil && errs < load.MaxWorkerErrors; {
				switch err := w.Do(ctx); {
				case err == nil:
					l.counts[i].n.Add(1)
				case !errors.Is(err, context.Canceled):
					l.log.Add(err)
					errs++
				}
			}
		})
	}
}

// stop ends the workers, each after its last answer. An answer that does not
// come is an error.
func (l *pullLoad) stop() {
	if l.cancel == nil {
		return
	}
	l.cancel()
	load.AwaitWorkers(&l.wg, l.log, func() {
		for _, w := range l.ws {
			w.Interrupt()
		}
	})
	for _, w := range l.ws {
		w.Close()
	}
	l.cancel = nil
}

func (l *pullLoad) report() Report {
	r := Report{CPUMicros: proc.OwnCPU().Microseconds()}
	for i := range l.counts {
		r.Pulls += l.counts[i].n.Load()
	}
	var s load.Sample
	l.log.Into(&s)
	r.Errors, r.FirstError = s.Errors, s.FirstError
	return r
}

// A pacedWorker makes its requests at fixed times. If it is late, it makes one at
// once.
type pacedWorker struct {
	load.Worker
	each time.Duration
	next time.Time
}

func (p *pacedWorker) Do(ctx context.Context) error {
	if left := time.Until(p.next); left > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(left):
		}
	}
	p.next = p.next.Add(p.each)
	return p.Worker.Do(ctx)
}
