package run

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

// Alternate runs the rounds of both sides by turns. Each pair begins with the
// side that ended the last pair, so that neither is always the first.
func Alternate(ctx context.Context, e *Env, sc Variant, relay, bound *load.Server) (report.Result, error) {
	var res report.Result
	sides := []*load.Server{relay}
	if bound != nil {
		sides = append(sides, bound)
	}
	runners := make([]Runner, len(sides))
	for i, s := range sides {
		e.Track.Step("preparing the " + s.Name)
		r, err := sc.Open(ctx, e, s)
		if err != nil {
			return res, fmt.Errorf("%s: %w", s.Name, err)
		}
		runners[i] = r
	}
	samples := make([][]load.Sample, len(sides))
	e.Track.Begin(time.Duration(e.Config.Rounds*len(sides)) * (e.Config.Warmup + e.Config.Duration))
	for n := range e.Config.Rounds {
		for k := range sides {
			i := (n + k) % len(sides)
			e.Track.Step(fmt.Sprintf("round %d of %d, %s", n+1, e.Config.Rounds, sides[i].Name))
			s, err := runners[i].Round(ctx)
			if err != nil {
				return res, fmt.Errorf("%s: %w", sides[i].Name, err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	samples = append(samples, nil) // no bound
	m := sc.Compared
	if m.Of == nil {
		m = report.Throughput
	}
	res = report.Compare(sc.Subject(), samples[0], samples[1], m)
	if sc.Finish != nil {
		sc.Finish(&res)
	}
	return res, nil
}
