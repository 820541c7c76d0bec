package scenario

import (
	"context"
	"fmt"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
)

// Post stores unique events, each on stable storage before it is acknowledged,
// from 1, 64 and 256 connections. The bound writes all posts that wait with one
// write and one sync and checks nothing. One connection shows the cost of a
// single sync; many show how well syncs are shared.
func Post(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(512)
	var out []run.Variant
	for _, n := range cfg.ConnsOr(1, 64, 256) {
		out = append(out, run.Variant{
			Scenario: "post", Text: fmt.Sprintf("%d conns, %d B", n, size), Unit: "requests", Files: n,
			Bound: bound.Config{Mode: bound.Post, EventBytes: size},
			Open: func(_ context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
				return NewPostRunner(e, s, n), nil
			},
		})
	}
	return out
}

// A PostRunner posts from many connections. Each has slots of its own, which
// are new in every round because a slot takes 64 MiB.
type PostRunner struct {
	e     *run.Env
	s     *load.Server
	conns int
	next  uint64 // the first event number of the next round
}

// NewPostRunner returns posts from conns connections to s.
func NewPostRunner(e *run.Env, s *load.Server, conns int) *PostRunner {
	return &PostRunner{e: e, s: s, conns: conns}
}

func (r *PostRunner) Round(ctx context.Context) (load.Sample, error) {
	slots, err := r.s.AllocateN(ctx, r.conns)
	if err != nil {
		return load.Sample{}, err
	}
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = load.NewPoster(r.e.Template, r.s, slots[i], r.next)
		r.next += load.NumbersPerPoster
	}
	return r.e.RunClosed(ctx, r.s, ws)
}
