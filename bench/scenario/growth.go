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

// Growth are the curves: what a relay takes at 1000 must be what it
// takes at 200,000.
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
		// One poster: with more of them the disk's share would grow.
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
		if most > slotsOfRelay {
			sc.RelayArgs = []string{"--max-slots", fmt.Sprint(most)}
		}
		out = append(out, sc)
	}
	return out
}

// slotsOfRelay is the number of slots that a relay takes without an argument.
const slotsOfRelay = 200_000

// counts prints some numbers for a reader.
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
