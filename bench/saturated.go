package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A saturated is one side of saturation: a long slot that is pulled from, and
// in each round a new slot for each poster.
type saturated struct {
	e    *env
	s    *side
	m    *image
	next uint64 // first number of the next poster
}

func openSaturated(ctx context.Context, e *env, s *side, count int) (*saturated, error) {
	m, err := e.fillSlot(ctx, s, count, e.cfg.Page)
	if err != nil {
		return nil, err
	}
	return &saturated{e: e, s: s, m: m, next: uint64(count)}, nil
}

// unsentGrace is how long after the end of a round a post that was due in it
// is still sent.
const unsentGrace = 5 * time.Second

// round runs posters at their rate, and pullers beside them until the last
// post is answered. A post that was due in the measured time counts, whenever
// its answer comes, from the time it was due.
func (x *saturated) round(ctx context.Context, kind pullKind, rate float64, duration time.Duration) (out Sample, err error) {
	cfg := x.e.cfg
	var (
		phase           atomic.Int32
		posters, others sync.WaitGroup
		log             errorLog
		pulls           = make([]tally, cfg.Pullers)
		pullers         []*puller
	)
	slots, err := x.s.allocateN(ctx, cfg.Posters)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if kind != pullNone {
		begin := time.Now()
		for i := range cfg.Pullers {
			p := newPuller(x.e, x.s, x.m)
			pullers = append(pullers, p)
			pulls[i].hist = newHistogram()
			var w worker = p
			if kind == pullPaced {
				each := time.Duration(float64(cfg.Pullers) / rate * float64(time.Second))
				w = &pacedPuller{puller: p, phase: &phase, each: each, next: begin.Add(each * time.Duration(i) / time.Duration(cfg.Pullers))}
			}
			others.Go(func() { loop(ctx, w, &phase, &pulls[i], &log) })
		}
	}
	load, err := x.startPosts(ctx, slots, duration, &posters, &log)
	var a, b usage
	if err == nil {
		a, b, err = x.e.measure(ctx, x.s, duration, &phase)
	}
	if err != nil {
		cancel()
	}
	awaitWorkers(&posters, &log, func() {
		for _, p := range load.ps {
			p.interrupt()
		}
	})
	phase.Store(ended)
	awaitWorkers(&others, &log, func() {
		for _, p := range pullers {
			p.interrupt()
		}
	})
	for _, p := range pullers {
		p.close()
	}
	if err != nil {
		return out, err
	}
	out.hist = newHistogram()
	for i := range load.tallies {
		out.Ops += load.tallies[i].ops
		out.hist.merge(load.tallies[i].hist)
	}
	for i := range pulls {
		out.Pulls += pulls[i].ops
	}
	out.Latency = out.hist.latency()
	lag := load.lag.latency()
	out.Lag = &lag
	out.Unsent = load.unsent.Load()
	out.account(a, b)
	log.into(&out)
	return out, nil
}

// A postLoad is the posters of a round.
type postLoad struct {
	ps      []*poster
	tallies []tally
	lag     histogram // of the pacer; read when the posters are done
	unsent  atomic.Int64
}

// startPosts starts the pacer and the posters. They end by themselves when all
// posts of warm-up and duration are answered.
func (x *saturated) startPosts(ctx context.Context, slots []slot, duration time.Duration, wg *sync.WaitGroup, log *errorLog) (*postLoad, error) {
	cfg := x.e.cfg
	l := &postLoad{tallies: make([]tally, cfg.Posters), lag: newHistogram()}
	n := int(cfg.PostRate * (cfg.Warmup + duration).Seconds())
	due := make([]chan time.Time, cfg.Posters)
	for i := range due {
		// Room for all of them: the pacer never waits for a poster.
		due[i] = make(chan time.Time, n/cfg.Posters+1)
		l.ps = append(l.ps, newPoster(x.e, x.s, slots[i], x.next))
		x.next += numbersPerPoster
	}
	p, err := newPacer(time.Duration(float64(time.Second) / cfg.PostRate))
	if err != nil {
		return l, err
	}
	from, end := p.base.Add(cfg.Warmup), p.base.Add(cfg.Warmup+duration+unsentGrace)
	for i := range due {
		t := &l.tallies[i]
		t.hist = newHistogram()
		wg.Go(func() { l.postWhenDue(ctx, l.ps[i], due[i], from, end, t, log) })
	}
	wg.Go(func() {
		err := p.run(ctx, n,
			func(i int, at time.Time) { due[i%len(due)] <- at },
			func(d time.Duration) { l.lag.record(d) })
		if err != nil && ctx.Err() == nil {
			log.add(err)
		}
		for _, c := range due {
			close(c)
		}
	})
	return l, nil
}

// postWhenDue posts once for each time that comes from due.
func (l *postLoad) postWhenDue(ctx context.Context, p *poster, due <-chan time.Time, from, end time.Time, t *tally, log *errorLog) {
	defer p.close()
	for at := range due {
		counts := !at.Before(from)
		if now := time.Now(); now.After(end) || ctx.Err() != nil {
			if counts {
				l.unsent.Add(1)
				t.hist.record(now.Sub(at))
			}
			continue
		}
		err := p.do(ctx)
		if err != nil {
			log.add(fmt.Errorf("a post: %w", err))
		}
		if counts {
			// One that failed was not served: its time counts, it does not.
			t.hist.record(time.Since(at))
			if err == nil {
				t.ops++
			}
		}
	}
}

// A pacedPuller pulls at fixed times. One that is behind pulls at once.
type pacedPuller struct {
	*puller
	phase *atomic.Int32
	each  time.Duration
	next  time.Time
}

func (p *pacedPuller) do(ctx context.Context) error {
	for {
		left := time.Until(p.next)
		if left <= 0 {
			break
		}
		// In short steps, so that the end of the round is not slept through.
		time.Sleep(min(left, 50*time.Millisecond))
		if p.phase.Load() == ended {
			return nil
		}
	}
	p.next = p.next.Add(p.each)
	return p.puller.do(ctx)
}
