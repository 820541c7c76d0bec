package bench

import (
	"context"
	"fmt"
	"slices"
)

// growthBytes is the size of an event of the slots of growing length: 200,000 of
// them, and the posts that measure, fit into a slot.
const growthBytes = 256

// growthScenarios are the curves: what a relay takes at 1000 must be what it
// takes at 200,000.
func growthScenarios(cfg *Config) []scenario {
	var out []scenario
	if len(cfg.GrowthLengths) > 0 {
		out = append(out, scenario{
			name: "growth", variant: fmt.Sprintf("1 conn, %d B, slots of %s events", growthBytes, counts(cfg.GrowthLengths)),
			unit: "requests", files: 1,
			bound: BoundConfig{EventBytes: growthBytes},
			drive: func(ctx context.Context, e *env, relay, _ *side) ([]Result, error) {
				return driveLengths(ctx, e, relay)
			},
		})
	}
	if cfg.GrowthEvents > 0 {
		out = append(out, worstScenario(cfg))
	}
	for _, n := range cfg.GrowthStreams {
		// One poster: with more of them the disk's share would grow.
		c := *cfg
		c.Streams, c.Posters = n, 1
		sc := fanoutScenarios(&c)[0]
		open := sc.open
		sc.name, sc.point = "growth", &Point{Curve: "fanout", Axis: "streams", X: float64(n)}
		sc.open = func(ctx context.Context, e *env, s *side) (runner, error) {
			own := *e
			own.cfg = &c
			return open(ctx, &own, s)
		}
		out = append(out, sc)
	}
	if len(cfg.GrowthSlots) > 0 {
		most := slices.Max(cfg.GrowthSlots)
		sc := scenario{
			name: "growth", variant: counts(cfg.GrowthSlots) + " slots",
			unit: "requests", files: fillConns, ownsRelay: true,
			bound: BoundConfig{EventBytes: minEventBytes},
			drive: func(ctx context.Context, e *env, relay, _ *side) ([]Result, error) {
				return driveSlots(ctx, e, relay)
			},
		}
		if most > slotsOfRelay {
			sc.relayArgs = []string{"--max-slots", fmt.Sprint(most)}
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
		s += count(float64(n))
	}
	return s
}
