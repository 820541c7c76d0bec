package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pullKind is how the pullers of saturation pull.
type pullKind int

const (
	pullNone   pullKind = iota
	pullClosed          // each takes the next window when it has the last one
	pullPaced           // at a fixed rate
	pullKinds
)

const (
	// idleGoal is the part of the machine's CPU that paced pullers leave idle.
	idleGoal = 0.30
	// idleLeast is the part below which the result says that they did not.
	idleLeast = 0.25
)

func saturationScenarios(cfg *Config) []scenario {
	size := cfg.eventBytes(300)
	length := cfg.SlotBytes[0]
	for _, n := range cfg.SlotBytes {
		length = max(length, n)
	}
	count := int(length) / size
	return []scenario{{
		name:    "saturation",
		variant: fmt.Sprintf("%d posters at %g/s", cfg.Posters, cfg.PostRate),
		unit:    "requests", files: cfg.Posters + cfg.Pullers,
		bound: BoundConfig{Mode: boundSaturation, EventBytes: size, Count: count, Page: cfg.Page},
		drive: func(ctx context.Context, e *env, relay, bound *side) ([]Result, error) {
			return driveSaturation(ctx, e, relay, bound, count)
		},
	}}
}

// driveSaturation runs the three kinds by turns on both sides. In the outage
// that this plays, a few pullers of full windows stalled every post.
func driveSaturation(ctx context.Context, e *env, relay, bound *side, count int) (out []Result, err error) {
	var sides []*saturated
	for _, s := range []*side{relay, bound} {
		if s == nil {
			continue
		}
		e.track.step("filling the slot of the " + s.name)
		x, err := openSaturated(ctx, e, s, count)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		defer func() { err = errors.Join(err, x.pull.close()) }()
		sides = append(sides, x)
	}
	rate := e.cfg.PullRate
	if rate == 0 {
		e.track.step("looking for the rate that leaves 30 % of the CPU idle")
		if rate, err = sides[0].findRate(ctx); err != nil {
			return nil, err
		}
	}
	var samples [pullKinds][2][]Sample
	phases := e.cfg.Rounds * int(pullKinds) * len(sides)
	e.track.begin(time.Duration(phases) * (e.cfg.Warmup + e.cfg.Duration))
	for n := range e.cfg.Rounds {
		for kind := range pullKinds {
			for k := range sides {
				i := (n + int(kind) + k) % len(sides)
				e.track.step(fmt.Sprintf("round %d of %d, %s, %s", n+1, e.cfg.Rounds, kind.text(e.cfg, rate), sides[i].s.name))
				s, err := sides[i].round(ctx, kind, rate, e.cfg.Duration)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", sides[i].s.name, err)
				}
				samples[kind][i] = append(samples[kind][i], s)
			}
		}
	}
	for kind := range pullKinds {
		sc := scenario{
			name: "saturation", unit: "requests",
			variant: fmt.Sprintf("%d posters at %g/s, %s", e.cfg.Posters, e.cfg.PostRate, kind.text(e.cfg, rate)),
		}
		r := compare(sc, samples[kind][0], samples[kind][1], tailP99)
		if kind != pullNone {
			r.VsQuiet = ratios(tailP99.each(samples[kind][0]), tailP99.each(samples[pullNone][0]))
			r.BoundVsQuiet = ratios(tailP99.each(samples[kind][1]), tailP99.each(samples[pullNone][1]))
		}
		if kind == pullPaced && e.cfg.PullRate == 0 && r.Relay.Idle < idleLeast {
			r.Notes = append(r.Notes, fmt.Sprintf("the rate was to leave %.0f %% of the CPU idle beside the relay and left %.0f %%: the posts had less room than they are judged by",
				idleGoal*100, r.Relay.Idle*100))
		}
		out = append(out, r)
	}
	return out, nil
}

func (k pullKind) text(cfg *Config, rate float64) string {
	pullers := fmt.Sprintf("%d pullers", cfg.Pullers)
	if cfg.PullerNice > 0 {
		pullers += fmt.Sprintf(" of nice %d", cfg.PullerNice)
	}
	switch k {
	case pullClosed:
		return pullers + " that never rest"
	case pullPaced:
		return fmt.Sprintf("%s at %.0f/s", pullers, rate)
	default:
		return "no pullers"
	}
}
