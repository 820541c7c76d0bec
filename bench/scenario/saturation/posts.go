package saturation

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
)

// A postLoad is the posters of a round.
type postLoad struct {
	ps      []*load.Poster
	tallies []load.Tally
	lag     load.Histogram   // of the pacer; read when all have ended
	late    []load.Histogram // of each poster, from when a post was due to when it was sent
	unsent  atomic.Int64
}

// startPosts starts the pacer and the posters. They end by themselves when all
// posts of warm-up and measured time are answered.
func (x *saturated) startPosts(ctx context.Context, slots []load.Slot, duration time.Duration, wg *sync.WaitGroup, log *load.ErrorLog) (*postLoad, error) {
	cfg := x.e.Config
	l := &postLoad{tallies: make([]load.Tally, cfg.Posters), lag: load.NewHistogram()}
	n := int(cfg.PostRate * (cfg.Warmup + duration).Seconds())
	due := make([]chan time.Time, cfg.Posters)
	for i := range due {
		// There is room for all posts, so that the pacer never waits for a poster.
		due[i] = make(chan time.Time, n/cfg.Posters+1)
		l.ps = append(l.ps, load.NewPoster(x.e.Template, x.s, slots[i], x.next))
		x.next += load.NumbersPerPoster
	}
	p, err := load.NewPacer(time.Duration(float64(time.Second) / cfg.PostRate))
	if err != nil {
		return l, err
	}
	from, end := p.Base.Add(cfg.Warmup), p.Base.Add(cfg.Warmup+duration+load.UnsentGrace)
	for i := range due {
		t := &l.tallies[i]
		t.Hist = load.NewHistogram()
		late := load.NewHistogram()
		l.late = append(l.late, late)
		wg.Go(func() { l.postWhenDue(ctx, l.ps[i], due[i], from, end, t, late, log) })
	}
	wg.Go(func() {
		err := p.Run(ctx, n,
			func(i int, at time.Time) { due[i%len(due)] <- at },
			func(d time.Duration) { l.lag.Record(d) })
		if err != nil && ctx.Err() == nil {
			log.Add(err)
		}
		for _, c := range due {
			close(c)
		}
	})
	return l, nil
}

// lateness sums up how late posts were sent. It is called when all have ended.
func (l *postLoad) lateness() load.Latency {
	all := load.NewHistogram()
	for _, h := range l.late {
		all.Merge(h)
	}
	return all.Latency()
}

// postWhenDue posts once for each time that comes from due.
func (l *postLoad) postWhenDue(ctx context.Context, p *load.Poster, due <-chan time.Time, from, end time.Time, t *load.Tally, late load.Histogram, log *load.ErrorLog) {
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
			log.Add(fmt.Errorf("a post: %w", err))
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
