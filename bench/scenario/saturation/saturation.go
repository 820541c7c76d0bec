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

// A beside is what goes on beside the posts: the part in which two scenarios
// differ.
type beside struct {
	scenario string
	name     string  // of its workers, with their number
	none     string  // there are none
	each     string  // one request of theirs
	posters  int     // of single events
	postRate float64 // their posts a second
	workers  int
	batch    int // events of a request; 0: workers pull
	count    int // events of the slot that workers pull from
	mode     string
}

// A pullKind is how the workers work.
type pullKind int

const (
	pullNone   pullKind = iota
	pullClosed          // each makes the next request when the last is answered
	pullPaced           // at a fixed rate
	pullKinds
)

const (
	// idleGoal is the part of the machine's CPU time that paced workers should leave
	// idle.
	idleGoal = 0.30
	// idleLeast is the part below which the result says that they did not.
	idleLeast = 0.25
)

// Pulls returns the scenario saturation: posts beside pullers of full windows. It
// is one variant, which comes to a result for each kind.
func Pulls(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(300)
	length := cfg.SlotBytes[0]
	for _, n := range cfg.SlotBytes {
		length = max(length, n)
	}
	name := fmt.Sprintf("%d pullers", cfg.Pullers)
	if cfg.PullerNice > 0 {
		name += fmt.Sprintf(" of nice %d", cfg.PullerNice)
	}
	return variants(cfg, beside{
		scenario: "saturation", name: name, none: "no pullers", each: "a pull",
		posters: cfg.Posters, postRate: cfg.PostRate, workers: cfg.Pullers, count: int(length) / size, mode: bound.Saturation,
	})
}

// Batches returns the scenario batch-beside: posts of one event beside a flood of
// batches. It is one variant likewise.
func Batches(cfg *run.Config) []run.Variant {
	return variants(cfg, beside{
		scenario: "batch-beside", name: fmt.Sprintf("%d posters of batches", cfg.BatchPosters), none: "no batches", each: "a batch",
		posters: cfg.ConnsOr(64)[0], postRate: cfg.BesideRate, workers: cfg.BatchPosters, batch: run.BatchOf(cfg.BatchEvents, cfg.EventBytesOr(300)), mode: bound.Batch,
	})
}

func variants(cfg *run.Config, b beside) []run.Variant {
	return []run.Variant{{
		Scenario: b.scenario,
		Text:     b.posts(),
		Unit:     "requests", Files: b.posters + b.workers,
		Bound: bound.Config{Mode: b.mode, EventBytes: cfg.EventBytesOr(300), Count: b.count, Page: cfg.Page},
		Drive: func(ctx context.Context, e *run.Env, relay, bound *load.Server) ([]report.Result, error) {
			return drive(ctx, e, relay, bound, b)
		},
	}}
}

// drive runs the kinds by turns on both sides.
func drive(ctx context.Context, e *run.Env, relay, bound *load.Server, b beside) (out []report.Result, err error) {
	var sides []*saturated
	for _, s := range []*load.Server{relay, bound} {
		if s == nil {
			continue
		}
		e.Track.Step("preparing the " + s.Name)
		x, err := openSide(ctx, e, s, b)
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
				e.Track.Step(fmt.Sprintf("round %d of %d, %s, %s", n+1, e.Config.Rounds, kind.text(&b, rate), sides[i].s.Name))
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
			Scenario: b.scenario, Unit: "requests",
			Variant: b.posts() + ", " + kind.text(&b, rate),
		}
		r := report.Compare(sub, samples[kind][0], samples[kind][1], report.TailP99)
		if r.QuietName = b.none; b.batch > 0 {
			r.PullsName = "batches"
		}
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

// posts describes the posts.
func (b *beside) posts() string { return fmt.Sprintf("%d posters at %g/s", b.posters, b.postRate) }

// text describes the workers.
func (k pullKind) text(b *beside, rate float64) string {
	switch k {
	case pullClosed:
		return b.name + " that never rest"
	case pullPaced:
		return fmt.Sprintf("%s at %.0f/s", b.name, rate)
	default:
		return b.none
	}
}
