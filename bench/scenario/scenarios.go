package scenario

import (
	"context"
	"fmt"

	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario/batch"
	"cowrelay/bench/scenario/cold"
	"cowrelay/bench/scenario/handles"
	"cowrelay/bench/scenario/mix"
	"cowrelay/bench/scenario/saturation"
)

// Names are the scenarios in the order in which `all` runs them.
var Names = []string{"poll", "connect", "window", "compress", "tls", "post", "batch", "batch-beside", "post-file", "tail", "fanout", "saturation", "idle", "churn", "mix", "growth", "restart", "claim", "directory"}

// Apart are the scenarios that run only where they are named: they take root.
var Apart = []string{"edge", "edge-idle", "cold"}

// NeedRelay are those of Names that need the relay's binary.
var NeedRelay = []string{"post-file", "tail", "restart", "tls"}

// variantsOf returns the variants of a scenario.
func variantsOf(cfg *run.Config, name string) ([]run.Variant, error) {
	switch name {
	case "poll":
		return Poll(cfg), nil
	case "window":
		return Window(cfg), nil
	case "compress":
		return Compress(cfg), nil
	case "post":
		return Post(cfg), nil
	case "fanout":
		return Fanout(cfg), nil
	case "saturation":
		return saturation.Pulls(cfg), nil
	case "batch-beside":
		return saturation.Batches(cfg), nil
	case "batch":
		return batch.Variants(cfg), nil
	case "post-file":
		return batch.Files(cfg), nil
	case "tail":
		return Tail(cfg), nil
	case "tls":
		return TLS(cfg)
	case "connect":
		return Connect(cfg), nil
	case "idle":
		return Idle(cfg), nil
	case "edge":
		return Edge(cfg), nil
	case "edge-idle":
		return EdgeIdle(cfg), nil
	case "cold":
		return cold.Variants(cfg), nil
	case "churn":
		return Churn(cfg), nil
	case "mix":
		return mix.Variants(cfg), nil
	case "growth":
		return Growth(cfg), nil
	case "claim":
		return handles.Claim(cfg), nil
	case "directory":
		return handles.Pages(cfg), nil
	case "restart":
		return Restart(cfg), nil
	}
	return nil, fmt.Errorf("unknown scenario %q", name)
}

// Run runs the named scenarios one after the other and gives each result to
// emit. It returns an error if a run could not be made; wrong answers are
// counted in the results. Every server that it started is gone when it returns.
func Run(ctx context.Context, cfg run.Config, names []string, emit func(report.Result)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	var all []run.Variant
	for _, n := range names {
		sc, err := variantsOf(&cfg, n)
		if err != nil {
			return err
		}
		all = append(all, sc...)
	}
	return run.All(ctx, &cfg, all, emit)
}
