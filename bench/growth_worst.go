package bench

import (
	"context"
	"fmt"
	"time"
)

// growthConns is the number of connections that post small events.
const growthConns = 64

// worstScenario looks for the worst post while one slot grows: what a relay
// does at some lengths only (a table that doubles, a chunk that is sealed) is
// in no median.
func worstScenario(cfg *Config) scenario {
	sc := scenario{
		name: "growth",
		variant: fmt.Sprintf("worst post, %d conns, one slot to %s events of %d B",
			growthConns, count(float64(cfg.GrowthEvents)), smallEventBytes),
		unit: "requests", files: growthConns,
		bound:    BoundConfig{Mode: boundPost, EventBytes: smallEventBytes},
		compared: worst,
		point:    &Point{Curve: "worst post", Axis: "events", X: float64(cfg.GrowthEvents)},
	}
	plain := sc
	sc.drive = func(ctx context.Context, e *env, relay, bound *side) ([]Result, error) {
		return driveWorst(ctx, e, plain, relay, bound)
	}
	return sc
}

// driveWorst fills a slot of each side by turns, a part of it in each round,
// and reads the relay's back in the end.
func driveWorst(ctx context.Context, e *env, sc scenario, relay, bound *side) ([]Result, error) {
	var grown slot
	sc.open = func(ctx context.Context, e *env, s *side) (runner, error) {
		slots, err := s.allocateN(ctx, 1)
		if err != nil {
			return nil, err
		}
		if !s.bound() {
			grown = slots[0]
		}
		return &worstRunner{e: e, s: s, sl: slots[0]}, nil
	}
	r, err := alternate(ctx, e, sc, relay, bound)
	if err != nil {
		return nil, err
	}
	if r.Relay.Errors > 0 {
		return []Result{r}, nil // not every event is there
	}
	e.track.step("reading the slot back")
	if _, err := e.readBack(ctx, relay, grown, e.cfg.GrowthEvents, e.cfg.Page); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		r.Relay.wrong(fmt.Errorf("cannot read the slot back: %w", err))
	}
	return []Result{r}, nil
}

// worstRunner posts a part of the events in each round, to one slot.
type worstRunner struct {
	e      *env
	s      *side
	sl     slot
	rounds int // that are done
}

func (r *worstRunner) round(ctx context.Context) (Sample, error) {
	total, rounds := r.e.cfg.GrowthEvents, r.e.cfg.Rounds
	from, to := total*r.rounds/rounds, total*(r.rounds+1)/rounds
	r.rounds++
	span := r.e.cfg.Warmup + r.e.cfg.Duration // what the run's progress takes a round for
	shown := 0.0
	return r.e.runNumbers(ctx, r.s, growthConns, from, to, func() numbered {
		return &numberedPoster{newPoster(r.e, r.s, r.sl, 0)}
	}, func(part float64) {
		r.e.track.add(time.Duration((part - shown) * float64(span)))
		shown = part
	})
}

// A numberedPoster posts the events that it is told to.
type numberedPoster struct{ *poster }

func (p *numberedPoster) do(ctx context.Context, n int) error {
	p.next = uint64(n)
	return p.poster.do(ctx)
}
