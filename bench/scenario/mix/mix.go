package mix

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// Connects is how many connections may be in TIME_WAIT at once: each poll
// leaves one, and each burst.
func Connects(c *run.Config) int {
	day := min(time.Duration(c.Rounds)*(c.Warmup+c.Duration), wire.PortHeld).Seconds() * c.MixSpeed
	return int(float64(c.MixAgents) * (day/pollEvery.Seconds() + day/burstEvery.Seconds() + 2*float64(c.Rounds) + 1))
}

// Variants returns the one variant that there is.
func Variants(cfg *run.Config) []run.Variant {
	return []run.Variant{{
		Scenario: "mix",
		Text:     fmt.Sprintf("a day of %s agents, %g times as fast", load.Thousands(float64(cfg.MixAgents)), cfg.MixSpeed),
		Unit:     "operations", Files: 3 * cfg.MixAgents,
		Ports: Connects(cfg),
		Bound: bound.Config{EventBytes: cfg.EventBytesOr(512)},
		Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
			return Open(ctx, e, s, Options{History: scenarioHistory})
		},
		Compared: report.PartLatencies,
	}}
}

// Open gives every agent a slot with some history, which the agent reads.
func Open(ctx context.Context, e *run.Env, s *load.Server, o Options) (run.Runner, error) {
	slots, err := s.AllocateN(ctx, e.Config.MixAgents)
	if err != nil {
		return nil, err
	}
	r := &runner{Options: o, e: e, s: s, slots: slots, from: wire.NewSources(s.Addr, Connects(e.Config))}
	n := o.History * len(slots)
	r.next = uint64(n)
	out, err := e.RunNumbers(ctx, s, load.FillConns, 0, n, func() load.Numbered { return newHistorian(r) }, e.Track.Prepared)
	if err != nil {
		return nil, err
	}
	if out.Errors > 0 {
		return nil, fmt.Errorf("cannot fill the slots: %s", out.FirstError)
	}
	for i := range slots {
		a := newAgent(r, i)
		r.agents = append(r.agents, a)
		if err := a.readHistory(ctx); err != nil {
			return nil, fmt.Errorf("agent %d: %w", i, err)
		}
	}
	return r, nil
}

func (r *runner) Round(ctx context.Context) (out load.Sample, err error) {
	m := r.newRound()
	var readers, workers sync.WaitGroup
	defer func() {
		m.closed.Store(true)
		for _, a := range r.agents {
			a.closeStream()
		}
		readers.Wait()
	}()
	for _, a := range r.agents {
		if err := a.begin(ctx); err != nil {
			return out, fmt.Errorf("cannot open a stream: %w", err)
		}
		readers.Go(func() { a.read(m) })
	}
	m.begin = time.Now()
	m.from = m.begin.Add(r.e.Config.Warmup)
	m.end = m.from.Add(r.e.Config.Duration)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, a := range r.agents {
		workers.Go(func() { a.pollAll(work, m) })
		workers.Go(func() { a.postAll(work, m) })
	}
	before, err := proc.ReadUsage(r.s.PID)
	var after proc.Usage
	if err == nil {
		before, after, err = r.e.Measure(ctx, r.s, r.e.Config.Duration, &m.phase)
	}
	if err != nil {
		cancel()
	}
	load.AwaitWorkers(&workers, &m.log, func() {
		cancel()
		for _, a := range r.agents {
			a.polling.Interrupt()
			a.posting.Interrupt()
		}
	})
	if err != nil {
		return out, err
	}
	m.await(ctx)
	m.closed.Store(true)
	for _, a := range r.agents {
		a.closeStream()
	}
	readers.Wait()
	if err := m.catchUp(ctx); err != nil {
		return out, err
	}
	m.verify()
	m.sum(&out, before, after)
	return out, ctx.Err()
}

// catchUp lets every agent poll what came after its last poll.
func (m *round) catchUp(ctx context.Context) error {
	for _, a := range m.agents {
		for before := -1; before != len(a.polled); {
			before = len(a.polled)
			if err := a.polling.Try(ctx, func(c *wire.Conn) error { return a.pull(c, m) }); err != nil {
				m.log.Add(fmt.Errorf("a poll after the round: %w", err))
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		a.polling.Close()
	}
	return nil
}
