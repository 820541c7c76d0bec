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
func (t *Task) prepare(ctx context.Context) (*pullLoad, error) {
	tmpl, err := wire.NewTemplate(t.EventBytes, t.Nonce)
	if err != nil {
		return nil, err
	}
	e := &load.Session{Template: tmpl}
	s := &load.Server{Name: t.Side, Addr: t.Addr, Prefix: t.Prefix, Header: t.Header}
	m, err := e.ReadBack(ctx, s, load.Slot{ID: t.Slot, Token: t.Token}, t.Count, t.Page)
	if err != nil {
		return nil, fmt.Errorf("cannot read a slot back: %w", err)
	}
	return &pullLoad{t: tmpl, s: s, m: m, page: t.Page, pullers: t.Pullers, log: &load.ErrorLog{}}, nil
}

// A pullLoad is the pullers of this process.
type pullLoad struct {
	t       *wire.Template
	s       *load.Server
	m       *load.Image
	page    int // events of a window
	pullers int // how many

	ps     []*load.Puller
	counts []pullCount
	log    *load.ErrorLog
	cancel context.CancelFunc // nil: not started
	wg     sync.WaitGroup
}

// A pullCount is how many windows one puller took. The padding keeps pullers
// from sharing a cache line.
type pullCount struct {
	n atomic.Int64
	_ [56]byte
}

// start starts the pullers. With a rate they pull that many times a second, all
// together; with 0 they never rest.
func (l *pullLoad) start(ctx context.Context, rate float64) {
	ctx, l.cancel = context.WithCancel(ctx)
	n := l.pullers
	l.ps, l.counts, l.log = nil, make([]pullCount, n), &load.ErrorLog{}
	begin := time.Now()
	for i := range n {
		p := load.NewPuller(l.t, l.s, l.m, l.page)
		l.ps = append(l.ps, p)
		var w load.Worker = p
		if rate > 0 {
			each := time.Duration(float64(n) / rate * float64(time.Second))
			w = &pacedPuller{Puller: p, each: each, next: begin.Add(each * time.Duration(i) / time.Duration(n))}
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

// stop ends the pullers, each after its last answer. An answer that does not
// come is an error.
func (l *pullLoad) stop() {
	if l.cancel == nil {
		return
	}
	l.cancel()
	load.AwaitWorkers(&l.wg, l.log, func() {
		for _, p := range l.ps {
			p.Interrupt()
		}
	})
	for _, p := range l.ps {
		p.Close()
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

// A pacedPuller pulls at fixed times. If it is late, it pulls at once.
type pacedPuller struct {
	*load.Puller
	each time.Duration
	next time.Time
}

func (p *pacedPuller) Do(ctx context.Context) error {
	if left := time.Until(p.next); left > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(left):
		}
	}
	p.next = p.next.Add(p.each)
	return p.Puller.Do(ctx)
}
