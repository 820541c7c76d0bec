package scenario

import (
	"context"
	"fmt"
	"slices"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// Growth draws curves, which should be flat: what a relay takes at 1000 must be
// what it takes at 200,000.
//
//	post, poll, since   p50 of a request over the events in the slot
//	worst post          the slowest of a million posts to one slot
//	fanout              deliveries a second, to the bound, over the streams
//	slots allocated     memory of a slot over the slots, just after they were made
//	slots cold          the same after a start, and how long the start took
//
// The worst post has the bound of post, and fan-out has its own. The others are
// held against the curve's own first point: what matters is that they do not
// rise.
func Growth(cfg *run.Config) []run.Variant {
	var out []run.Variant
	if len(cfg.GrowthLengths) > 0 {
		out = append(out, run.Variant{
			Scenario: "growth", Text: fmt.Sprintf("1 conn, %d B, slots of %s events", run.GrowthBytes, counts(cfg.GrowthLengths)),
			Unit: "requests", Files: 1,
			Bound: bound.Config{EventBytes: run.GrowthBytes},
			Drive: func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
				return driveLengths(ctx, e, relay)
			},
		})
	}
	if cfg.GrowthEvents > 0 {
		out = append(out, worstVariant(cfg))
	}
	for _, n := range cfg.GrowthStreams {
		// With more than one poster, more of the time would be the disk's.
		c := *cfg
		c.Streams, c.Posters = n, 1
		sc := Fanout(&c)[0]
		open := sc.Open
		sc.Scenario, sc.Point = "growth", &report.Point{Curve: "fanout", Axis: "streams", X: float64(n)}
		sc.Open = func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
			own := *e
			own.Config = &c
			return open(ctx, &own, s)
		}
		out = append(out, sc)
	}
	if len(cfg.GrowthSlots) > 0 {
		most := slices.Max(cfg.GrowthSlots)
		sc := run.Variant{
			Scenario: "growth", Text: counts(cfg.GrowthSlots) + " slots",
			Unit: "requests", Files: load.FillConns, OwnsRelay: true,
			Bound: bound.Config{EventBytes: wire.MinEventBytes},
			Drive: func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
				return driveSlots(ctx, e, relay)
			},
		}
		if most > load.SlotsOfRelay {
			sc.RelayArgs = []string{"--max-slots", fmt.Sprint(most)}
		}
		out = append(out, sc)
	}
	return out
}

// counts prints numbers for a reader.
func counts(ns []int) string {
	var s string
	for i, n := range ns {
		if i > 0 {
			s += "; "
		}
		s += load.Thousands(float64(n))
	}
	return s
}
