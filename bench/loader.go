package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// LoaderCommand is the hidden subcommand under which a binary that uses this
// package must call RunLoader: the pullers of saturation are a process of
// their own. In the generator's they would hold up its posters, and what is
// measured at these would be the generator's own scheduler.
const LoaderCommand = "load-pullers"

// A loaderTask is the first line on a loader's standard input. The token does
// not stand on the command line, where all users of the machine see it.
type loaderTask struct {
	Addr       string `json:"addr"`
	Prefix     string `json:"prefix"`
	Header     string `json:"header"`
	Side       string `json:"side"`
	Slot       string `json:"slot"`
	Token      string `json:"token"`
	Nonce      string `json:"nonce"`
	EventBytes int    `json:"event_bytes"`
	Count      int    `json:"count"` // events of the slot
	Page       int    `json:"page"`
	Pullers    int    `json:"pullers"`
	Procs      int    `json:"procs"` // cores that it runs on
	Nice       int    `json:"nice"`  // how far below the others it stands
}

// A loaderOrder is each later line.
type loaderOrder struct {
	Do   string  `json:"do"`             // "start", "report" or "stop"
	Rate float64 `json:"rate,omitempty"` // pulls a second; 0: pullers never rest
}

// A loaderReport answers the task, when the slot was read and all of it was
// right, and then each order. Its counts begin with the last start.
type loaderReport struct {
	Pulls      int64  `json:"pulls"`
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	CPU        int64  `json:"cpu_us"` // of the process, since its own start
}

// RunLoader pulls as its standard input says, until that ends or the process is
// signalled. It takes no arguments.
func RunLoader(args []string) error {
	fs := flag.NewFlagSet(LoaderCommand, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	if err := fs.Parse(args); err != nil {
		return err
	}
	return serveLoader(context.Background(), os.Stdin, os.Stdout)
}

// serveLoader reads a task and orders from in and writes reports to out.
func serveLoader(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, reports := json.NewDecoder(in), json.NewEncoder(out)
	var t loaderTask
	if err := orders.Decode(&t); err != nil {
		return fmt.Errorf("cannot read the task: %w", err)
	}
	if t.Procs > 0 {
		runtime.GOMAXPROCS(t.Procs)
	}
	if t.Nice > 0 {
		// By group, which here is this process alone: by process it would be one
		// thread of it.
		if err := syscall.Setpriority(syscall.PRIO_PGRP, 0, t.Nice); err != nil {
			return fmt.Errorf("cannot set the priority: %w", err)
		}
	}
	l, err := t.prepare(ctx)
	if err != nil {
		return err
	}
	if err := reports.Encode(l.report()); err != nil {
		return err
	}
	defer l.stop()
	for {
		var o loaderOrder
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read an order: %w", err)
		}
		switch o.Do {
		case "start":
			l.stop()
			l.start(ctx, o.Rate)
		case "stop":
			l.stop()
		case "report":
		default:
			return fmt.Errorf("unknown order %q", o.Do)
		}
		if err := reports.Encode(l.report()); err != nil {
			return err
		}
	}
}

// prepare reads the slot back, so that windows can be checked to the byte.
func (t *loaderTask) prepare(ctx context.Context) (*pullLoad, error) {
	tmpl, err := newTemplate(t.EventBytes, t.Nonce)
	if err != nil {
		return nil, err
	}
	e := &env{cfg: &Config{Page: t.Page, Pullers: t.Pullers}, tmpl: tmpl}
	s := &side{name: t.Side, addr: t.Addr, prefix: t.Prefix, header: t.Header}
	m, err := e.readBack(ctx, s, slot{id: t.Slot, token: t.Token}, t.Count, t.Page)
	if err != nil {
		return nil, fmt.Errorf("cannot read a slot back: %w", err)
	}
	return &pullLoad{e: e, s: s, m: m, log: &errorLog{}}, nil
}

// A pullLoad is the pullers of a loader.
type pullLoad struct {
	e *env
	s *side
	m *image

	ps     []*puller
	counts []pullCount
	log    *errorLog
	cancel context.CancelFunc // nil: not started
	wg     sync.WaitGroup
}

// A pullCount is what one puller has taken. It is padded, so that pullers do
// not share a cache line.
type pullCount struct {
	n atomic.Int64
	_ [56]byte
}

// start starts pullers that never rest, or that pull rate times a second, all
// together.
func (l *pullLoad) start(ctx context.Context, rate float64) {
	ctx, l.cancel = context.WithCancel(ctx)
	n := l.e.cfg.Pullers
	l.ps, l.counts, l.log = nil, make([]pullCount, n), &errorLog{}
	begin := time.Now()
	for i := range n {
		p := newPuller(l.e, l.s, l.m)
		l.ps = append(l.ps, p)
		var w worker = p
		if rate > 0 {
			each := time.Duration(float64(n) / rate * float64(time.Second))
			w = &pacedPuller{puller: p, each: each, next: begin.Add(each * time.Duration(i) / time.Duration(n))}
		}
		l.wg.Go(func() {
			for errs := 0; ctx.Err() == nil && errs < maxWorkerErrors; {
				switch err := w.do(ctx); {
				case err == nil:
					l.counts[i].n.Add(1)
				case !errors.Is(err, context.Canceled):
					l.log.add(err)
					errs++
				}
			}
		})
	}
}

// stop lets each puller take its last answer. One whose answer does not come is
// counted as an error.
func (l *pullLoad) stop() {
	if l.cancel == nil {
		return
	}
	l.cancel()
	awaitWorkers(&l.wg, l.log, func() {
		for _, p := range l.ps {
			p.interrupt()
		}
	})
	for _, p := range l.ps {
		p.close()
	}
	l.cancel = nil
}

func (l *pullLoad) report() loaderReport {
	r := loaderReport{CPU: ownCPU().Microseconds()}
	for i := range l.counts {
		r.Pulls += l.counts[i].n.Load()
	}
	var s Sample
	l.log.into(&s)
	r.Errors, r.FirstError = s.Errors, s.FirstError
	return r
}

// A pacedPuller pulls at fixed times. One that is behind pulls at once.
type pacedPuller struct {
	*puller
	each time.Duration
	next time.Time
}

func (p *pacedPuller) do(ctx context.Context) error {
	if left := time.Until(p.next); left > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(left):
		}
	}
	p.next = p.next.Add(p.each)
	return p.puller.do(ctx)
}
