package saturation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// A pullKind is how the pullers pull.
type pullKind int

const (
	pullNone   pullKind = iota
	pullClosed          // each takes the next window when it has got the last
	pullPaced           // at a fixed rate
	pullKinds
)

const (
	// idleGoal is the part of the machine's CPU time that paced pullers should leave
	// idle.
	idleGoal = 0.30
	// idleLeast is the part below which the result says that they did not.
	idleLeast = 0.25
)

// Variants returns one variant, which comes to a result for each kind.
func Variants(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(300)
	length := cfg.SlotBytes[0]
	for _, n := range cfg.SlotBytes {
		length = max(length, n)
	}
	count := int(length) / size
	return []run.Variant{{
		Scenario: "saturation",
		Text:     fmt.Sprintf("%d posters at %g/s", cfg.Posters, cfg.PostRate),
		Unit:     "requests", Files: cfg.Posters + cfg.Pullers,
		Bound: bound.Config{Mode: bound.Saturation, EventBytes: size, Count: count, Page: cfg.Page},
		Drive: func(ctx context.Context, e *run.Env, relay, bound *load.Server) ([]report.Result, error) {
			return drive(ctx, e, relay, bound, count)
		},
	}}
}

// drive runs the kinds by turns on both sides.
func drive(ctx context.Context, e *run.Env, relay, bound *load.Server, count int) (out []report.Result, err error) {
	var sides []*saturated
	for _, s := range []*load.Server{relay, bound} {
		if s == nil {
			continue
		}
		e.Track.Step("filling the slot of the " + s.Name)
		x, err := openSide(ctx, e, s, count)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		defer func() { err = errors.Join(err, x.pull.Close()) }()
		sides = append(sides, x)
	}
	rate := e.Config.PullRate
	if rate == 0 {
		e.Track.Step("looking for the rate that leaves 30 % of the CPU idle")
		if rate, err = sides[0].findRate(ctx); err != nil {
			return nil, err
		}
	}
	var samples [pullKinds][2][]load.Sample
	phases := e.Config.Rounds * int(pullKinds) * len(sides)
	e.Track.Begin(time.Duration(phases) * (e.Config.Warmup + e.Config.Duration))
	for n := range e.Config.Rounds {
		for kind := range pullKinds {
			for k := range sides {
				i := (n + int(kind) + k) % len(sides)
				e.Track.Step(fmt.Sprintf("round %d of %d, %s, %s", n+1, e.Config.Rounds, kind.text(e.Config, rate), sides[i].s.Name))
				s, err := sides[i].round(ctx, kind, rate, e.Config.Duration)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", sides[i].s.Name, err)
				}
				samples[kind][i] = append(samples[kind][i], s)
			}
		}
	}
	for kind := range pullKinds {
		sub := report.Subject{
			Scenario: "saturation", Unit: "requests",
			Variant: fmt.Sprintf("%d posters at %g/s, %s", e.Config.Posters, e.Config.PostRate, kind.text(e.Config, rate)),
		}
		r := report.Compare(sub, samples[kind][0], samples[kind][1], report.TailP99)
		if kind != pullNone {
			r.VsQuiet = report.Ratios(report.TailP99.Each(samples[kind][0]), report.TailP99.Each(samples[pullNone][0]))
			r.BoundVsQuiet = report.Ratios(report.TailP99.Each(samples[kind][1]), report.TailP99.Each(samples[pullNone][1]))
		}
		if kind == pullPaced && e.Config.PullRate == 0 && r.Relay.Idle < idleLeast {
			r.Notes = append(r.Notes, fmt.Sprintf("the rate was to leave %.0f %% of the CPU idle beside the relay and left %.0f %%: the posts had less room than they are judged by",
				idleGoal*100, r.Relay.Idle*100))
		}
		out = append(out, r)
	}
	return out, nil
}

// text describes the pullers.
func (k pullKind) text(cfg *run.Config, rate float64) string {
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
