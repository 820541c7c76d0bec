package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DuePosts is a load of posts that are due at fixed times, whatever the answers
// take. Latency counts from when a post was due.
type DuePosts struct {
	ps      []*Poster
	tallies []Tally
	lag     Histogram   // of the pacer; read when all have ended
	late    []Histogram // of each poster, from when a post was due to when it was sent
	unsent  atomic.Int64

	posters sync.WaitGroup
	log     ErrorLog
}

// StartPosts starts a pacer of so many posts a second, which the posters send by
// turns. They end by themselves when all posts of the warm-up and of the measured
// time d are answered. End must be called.
func (e *Session) StartPosts(ctx context.Context, ps []*Poster, rate float64, d time.Duration) (*DuePosts, error) {
	l := &DuePosts{ps: ps, tallies: make([]Tally, len(ps)), lag: NewHistogram()}
	n := int(rate * (e.Warmup + d).Seconds())
	due := make([]chan time.Time, len(ps))
	for i := range due {
		// There is room for all posts, so that the pacer never waits for a poster.
		due[i] = make(chan time.Time, n/len(ps)+1)
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
		l.posters.Go(func() { l.postWhenDue(ctx, ps[i], due[i], from, end, t, late) })
	}
	l.posters.Go(func() {
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

// postWhenDue posts once for each time that comes from due.
func (l *DuePosts) postWhenDue(ctx context.Context, p *Poster, due <-chan time.Time, from, end time.Time, t *Tally, late Histogram) {
	defer p.Close()
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
		err := p.Do(ctx)
		if err != nil {
			l.log.Add(fmt.Errorf("a post: %w", err))
		}
		if counts {
			// A post that failed was not served. Its time counts all the same.
			t.Hist.Record(time.Since(at))
			if err == nil {
				t.Ops++
			}
		}
	}
}

// End waits until all posts are answered. A post without an answer is interrupted
// after a while, which is an error.
func (l *DuePosts) End() {
	AwaitWorkers(&l.posters, &l.log, func() {
		for _, p := range l.ps {
			p.Interrupt()
		}
	})
}

// Into adds what came of the posts to a sample, after End.
func (l *DuePosts) Into(out *Sample) {
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
