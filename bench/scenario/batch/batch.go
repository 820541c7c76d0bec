package batch

import (
	"context"
	"fmt"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
)

// eventBytes is the size of an event, unless the configuration names one.
const eventBytes = 300

// Variants stores batches of unique events, each on stable storage before it is
// acknowledged, from 1, 16 and 64 connections. The bound writes the bodies of all
// requests that wait with one write and one sync, and checks nothing.
func Variants(cfg *run.Config) []run.Variant {
	size, events := cfg.EventBytesOr(eventBytes), run.BatchOf(cfg.BatchEvents, cfg.EventBytesOr(eventBytes))
	var out []run.Variant
	for _, n := range cfg.ConnsOr(1, 16, 64) {
		out = append(out, run.Variant{
			Scenario: "batch", Text: fmt.Sprintf("%d conns, %d x %d B a request", n, events, size), Unit: "events", Files: n,
			Bound: bound.Config{Mode: bound.Batch, EventBytes: size},
			Open: func(_ context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
				return &runner{e: e, s: s, conns: n, events: events}, nil
			},
		})
	}
	return out
}

// A runner posts batches from many connections. Each makes slots of its own, in
// the warm-up and when one is full.
type runner struct {
	e      *run.Env
	s      *load.Server
	conns  int
	events int    // of a batch
	next   uint64 // the first event number of the next round
}

func (r *runner) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = load.NewBatchPoster(r.e.Template, r.s, r.events, r.next)
		r.next += load.NumbersPerPoster
	}
	s, err := r.e.RunClosed(ctx, r.s, ws)
	s.CountEvents(r.events, r.e.Template.Size())
	return s, err
}
