package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DueLoad is a load of requests that are due at fixed times, whatever the answers
// take. Latency counts from when a request was due.
type DueLoad struct {
	what    string // a request, in errors
	ws      []Worker
	tallies []Tally
	lag     Histogram   // of the pacer; read when all have ended
	late    []Histogram // of each worker, from when a request was due to when it was sent
	unsent  atomic.Int64

	workers sync.WaitGroup
	log     ErrorLog
}

// StartPosts is StartDue for posts.
func (e *Session) StartPosts(ctx context.Context, ps []*Poster, rate float64, d time.Duration) (*DueLoad, error) {
	ws := make([]Worker, len(ps))
	for i, p := range ps {
		ws[i] = p
	}
	return e.StartDue(ctx, "a post", ws, rate, d)
}

// StartDue starts a pacer of so many requests a second, which the workers send by
// turns. They end by themselves when all requests of the warm-up and of the measured
// time d are answered. End must be called. what names a request in errors.
func (e *Session) StartDue(ctx context.Context, what string, ws []Worker, rate float64, d time.Duration) (*DueLoad, error) {
	l := &DueLoad{what: what, ws: ws, tallies: make([]Tally, len(ws)), lag: NewHistogram()}
	n := int(rate * (e.Warmup + d).Seconds())
	due := make([]chan time.Time, len(ws))
	for i := range due {
		// There is room for all requests, so that the pacer never waits for a worker.
		due[i] = make(chan time.Time, n/len(ws)+1)
	}
	p, err := NewPacer(time.Duration(float64(time.Second) / rate))
	if err != nil {
		return l, err
	}
	from, end := p.Base.Add(e.Warmup), p.Base.Add(e.Warmup+d+UnsentGrace)
	for i := range due {
		t := &l.tallies[i]
		t.Hist = NewHistogram()
		late := NewHistogram()
		l.late = append(l.late, late)
		l.workers.Go(func() { l.doWhenDue(ctx, ws[i], due[i], from, end, t, late) })
	}
	l.workers.Go(func() {
		err := p.Run(ctx, n,
			func(i int, at time.Time) { due[i%len(due)] <- at },
			func(d time.Duration) { l.lag.Record(d) })
		if err != nil && ctx.Err() == nil {
			l.log.Add(err)
		}
		for _, c := range due {
			close(c)
		}
	})
	return l, nil
}

// doWhenDue sends a request for each time that comes from due.
func (l *DueLoad) doWhenDue(ctx context.Context, w Worker, due <-chan time.Time, from, end time.Time, t *Tally, late Histogram) {
	defer w.Close()
	for at := range due {
		counts := !at.Before(from)
		if now := time.Now(); now.After(end) || ctx.Err() != nil {
			if counts {
				l.unsent.Add(1)
				t.Hist.Record(now.Sub(at))
			}
			continue
		}
		if counts {
			late.Record(time.Since(at))
		}
		err := w.Do(ctx)
		if err != nil {
			l.log.Add(fmt.Errorf("%s: %w", l.what, err))
		}
		if counts {
			// A request that failed was not served. Its time counts all the same.
			t.Hist.Record(time.Since(at))
			if err == nil {
				t.Ops++
			}
		}
	}
}

// End waits until all requests are answered. A request without an answer is
// interrupted after a while, which is an error.
func (l *DueLoad) End() {
	AwaitWorkers(&l.workers, &l.log, func() {
		for _, w := range l.ws {
			w.Interrupt()
		}
	})
}

// Into adds what came of the requests to a sample, after End.
func (l *DueLoad) Into(out *Sample) {
	out.Hist = NewHistogram()
	for i := range l.tallies {
		out.Ops += l.tallies[i].Ops
		out.Hist.Merge(l.tallies[i].Hist)
	}
	out.Latency = out.Hist.Latency()
	all := NewHistogram()
	for _, h := range l.late {
		all.Merge(h)
	}
	lag, late := l.lag.Latency(), all.Latency()
	out.Lag, out.Late = &lag, &late
	out.Unsent = l.unsent.Load()
	l.log.Into(out)
}
