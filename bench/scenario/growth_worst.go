package scenario

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// growthConns is how many connections post small events.
const growthConns = 64

// worstVariant looks for the slowest post while one slot grows. What a relay
// does at some lengths only, such as doubling a table or sealing a chunk, is in
// no median.
func worstVariant(cfg *run.Config) run.Variant {
	sc := run.Variant{
		Scenario: "growth",
		Text: fmt.Sprintf("worst post, %d conns, one slot to %s events of %d B",
			growthConns, load.Thousands(float64(cfg.GrowthEvents)), wire.SmallEventBytes),
		Unit: "requests", Files: growthConns,
		Bound:    bound.Config{Mode: bound.Post, EventBytes: wire.SmallEventBytes},
		Compared: report.Worst,
		Point:    &report.Point{Curve: "worst post", Axis: "events", X: float64(cfg.GrowthEvents)},
	}
	plain := sc
	sc.Drive = func(ctx context.Context, e *run.Env, relay, bound *load.Server) ([]report.Result, error) {
		return driveWorst(ctx, e, plain, relay, bound)
	}
	return sc
}

// driveWorst fills one slot on each side by turns, a part of it in each round,
// and then reads the relay's slot back.
func driveWorst(ctx context.Context, e *run.Env, sc run.Variant, relay, bound *load.Server) ([]report.Result, error) {
	var grown load.Slot
	sc.Open = func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
		slots, err := s.AllocateN(ctx, 1)
		if err != nil {
			return nil, err
		}
		if !s.Bound() {
			grown = slots[0]
		}
		return &worstRunner{e: e, s: s, sl: slots[0]}, nil
	}
	r, err := run.Alternate(ctx, e, sc, relay, bound)
	if err != nil {
		return nil, err
	}
	if r.Relay.Errors > 0 {
		return []report.Result{r}, nil // the slot misses some events
	}
	e.Track.Step("reading the slot back")
	if _, err := e.ReadBack(ctx, relay, grown, e.Config.GrowthEvents, e.Config.Page); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		r.Relay.Wrong(fmt.Errorf("cannot read the slot back: %w", err))
	}
	return []report.Result{r}, nil
}

// A worstRunner posts a part of the events to its slot in each round.
type worstRunner struct {
	e      *run.Env
	s      *load.Server
	sl     load.Slot
	rounds int // how many are done
}

func (r *worstRunner) Round(ctx context.Context) (load.Sample, error) {
	total, rounds := r.e.Config.GrowthEvents, r.e.Config.Rounds
	from, to := total*r.rounds/rounds, total*(r.rounds+1)/rounds
	r.rounds++
	span := r.e.Config.Warmup + r.e.Config.Duration // what the run takes a round for
	shown := 0.0
	return r.e.RunNumbers(ctx, r.s, growthConns, from, to, func() load.Numbered {
		return &numberedPoster{load.NewPoster(r.e.Template, r.s, r.sl, 0)}
	}, func(part float64) {
		r.e.Track.Add(time.Duration((part - shown) * float64(span)))
		shown = part
	})
}

// A numberedPoster posts the events whose numbers it is given.
type numberedPoster struct{ *load.Poster }

func (p *numberedPoster) Do(ctx context.Context, n int) error {
	p.Next = uint64(n)
	return p.Poster.Do(ctx)
}
