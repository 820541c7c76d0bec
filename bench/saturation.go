package bench

import (
	"context"
	"fmt"
	"math"
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

// idleGoal is the part of the machine's CPU that paced pullers leave idle.
const idleGoal = 0.30

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
func driveSaturation(ctx context.Context, e *env, relay, bound *side, count int) ([]Result, error) {
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
		sides = append(sides, x)
	}
	rate := e.cfg.PullRate
	if rate == 0 {
		e.track.step("looking for the rate that leaves 30 % of the CPU idle")
		var err error
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
	var out []Result
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
		out = append(out, r)
	}
	return out, nil
}

func (k pullKind) text(cfg *Config, rate float64) string {
	switch k {
	case pullClosed:
		return fmt.Sprintf("%d pullers that never rest", cfg.Pullers)
	case pullPaced:
		return fmt.Sprintf("%d pullers at %.0f/s", cfg.Pullers, rate)
	default:
		return "no pullers"
	}
}

// probe is the measured time of a step of the search for the rate.
const probe = time.Second

// findRate returns the pulls a second that leave idleGoal of the machine idle,
// were nothing else running on it: a rate found on a machine that is busy with
// something else for a moment would not be found again. The result has what
// really was idle. Only where the server's process is unknown does everything
// that ran count.
func (x *saturated) findRate(ctx context.Context) (float64, error) {
	used := func(s Sample) float64 {
		if x.s.pid == 0 {
			return s.Busy + s.Others
		}
		return s.Busy
	}
	quiet, err := x.round(ctx, pullNone, 0, probe)
	if err != nil {
		return 0, err
	}
	full, err := x.round(ctx, pullClosed, 0, probe)
	if err != nil {
		return 0, err
	}
	room := 1 - idleGoal - used(quiet)
	rate, got := full.PullsPerSec, used(full)-used(quiet)
	for range 3 {
		if room <= 0.02 || got <= 0.02 {
			return 1, nil // the machine is busy without pullers
		}
		if math.Abs(got-room) < 0.03 {
			return rate, nil
		}
		// More than pullers that never rest can get is no rate to pace them at.
		rate = min(max(1, rate*room/got), full.PullsPerSec)
		s, err := x.round(ctx, pullPaced, rate, probe)
		if err != nil {
			return 0, err
		}
		got = used(s) - used(quiet)
	}
	return rate, nil
}
