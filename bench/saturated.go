package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A saturated is one side of saturation: a long slot that a process of pullers
// pulls from, and in each round a new slot for each poster.
type saturated struct {
	e    *env
	s    *side
	pull *loader
	next uint64 // first number of the next poster
}

func openSaturated(ctx context.Context, e *env, s *side, count int) (*saturated, error) {
	sl, err := e.newSlot(ctx, s, count)
	if err != nil {
		return nil, err
	}
	l, err := startLoader(ctx, e.cfg.Loader, e.dir, loaderTask{
		Addr: s.addr, Prefix: s.prefix, Header: s.header, Side: s.name, Slot: sl.id, Token: sl.token,
		Nonce: e.nonce, EventBytes: e.tmpl.size(), Count: count,
		Page: e.cfg.Page, Pullers: e.cfg.Pullers, Procs: runtime.GOMAXPROCS(0), Nice: e.cfg.PullerNice,
	})
	if err != nil {
		return nil, err
	}
	return &saturated{e: e, s: s, pull: l, next: uint64(count)}, nil
}

// unsentGrace is how long after the end of a round a post that was due in it
// is still sent.
const unsentGrace = 5 * time.Second

// round runs posters at their rate, and pullers beside them until the last
// post is answered. A post that was due in the measured time counts, whenever
// its answer comes, from the time it was due.
func (x *saturated) round(ctx context.Context, kind pullKind, rate float64, duration time.Duration) (out Sample, err error) {
	slots, err := x.s.allocateN(ctx, x.e.cfg.Posters)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if kind != pullPaced {
		rate = 0
	}
	var pulls loaderReport
	if kind != pullNone {
		if _, err = x.pull.do(ctx, loaderOrder{Do: "start", Rate: rate}); err != nil {
			return out, err
		}
	}
	var (
		posters sync.WaitGroup
		log     errorLog
		a, b    usage
	)
	load, err := x.startPosts(ctx, slots, duration, &posters, &log)
	if err == nil {
		a, b, out.Pulls, err = x.measure(ctx, kind, duration)
	}
	if err != nil {
		cancel()
	}
	awaitWorkers(&posters, &log, func() {
		for _, p := range load.ps {
			p.interrupt()
		}
	})
	if err != nil {
		return out, err
	}
	if kind != pullNone {
		if pulls, err = x.pull.do(ctx, loaderOrder{Do: "stop"}); err != nil {
			return out, err
		}
		if pulls.Errors > 0 {
			log.addN(pulls.Errors, fmt.Errorf("a pull: %s", pulls.FirstError))
		}
	}
	out.hist = newHistogram()
	for i := range load.tallies {
		out.Ops += load.tallies[i].ops
		out.hist.merge(load.tallies[i].hist)
	}
	out.Latency = out.hist.latency()
	lag := load.lag.latency()
	late := load.lateness()
	out.Lag, out.Late = &lag, &late
	out.Unsent = load.unsent.Load()
	out.account(a, b)
	log.into(&out)
	return out, nil
}

// measure passes through warm-up and measured time. The generator's own CPU
// time is that of both its processes.
func (x *saturated) measure(ctx context.Context, kind pullKind, d time.Duration) (a, b usage, pulls int64, err error) {
	clocks := func() (usage, int64, error) {
		var r loaderReport
		if kind != pullNone {
			var err error
			if r, err = x.pull.do(ctx, loaderOrder{Do: "report"}); err != nil {
				return usage{}, 0, err
			}
		}
		u, err := readUsage(x.s.pid)
		u.own += time.Duration(r.CPU) * time.Microsecond
		return u, r.Pulls, err
	}
	if err = x.e.wait(ctx, x.e.cfg.Warmup); err != nil {
		return a, b, 0, err
	}
	a, before, err := clocks()
	if err != nil {
		return a, b, 0, err
	}
	profiled := x.e.profile.begin(ctx, x.s, d)
	if err = x.e.wait(ctx, d); err != nil {
		return a, b, 0, errors.Join(err, profiled())
	}
	b, after, err := clocks()
	return a, b, after - before, errors.Join(err, profiled())
}

// A postLoad is the posters of a round.
type postLoad struct {
	ps      []*poster
	tallies []tally
	lag     histogram   // of the pacer; read when the posters are done
	late    []histogram // of each poster: from when a post was due to when it was sent
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
		late := newHistogram()
		l.late = append(l.late, late)
		wg.Go(func() { l.postWhenDue(ctx, l.ps[i], due[i], from, end, t, late, log) })
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

// lateness is of all posters; called when they are done.
func (l *postLoad) lateness() Latency {
	all := newHistogram()
	for _, h := range l.late {
		all.merge(h)
	}
	return all.latency()
}

// postWhenDue posts once for each time that comes from due.
func (l *postLoad) postWhenDue(ctx context.Context, p *poster, due <-chan time.Time, from, end time.Time, t *tally, late histogram, log *errorLog) {
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
		if counts {
			late.record(time.Since(at))
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
