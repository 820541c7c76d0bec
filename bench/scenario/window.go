package scenario

import (
	"context"
	"fmt"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
)

// Window takes full pages at random places of a slot, over kept connections: a
// client that catches up. A slot of 64 MiB beside one of 1 MiB shows whether a
// page costs more in a long slot. The bound sends slices of one buffer, which
// is what a relay comes to that copies and encodes nothing.
func Window(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(300)
	var out []run.Variant
	for _, conns := range cfg.ConnsOr(64) {
		for _, length := range cfg.SlotBytes {
			count := int(length) / size
			out = append(out, run.Variant{
				Scenario: "window",
				Text:     fmt.Sprintf("%d conns, %d x %d B from %s", conns, cfg.Page, size, lengthText(length)),
				Unit:     "requests", Files: conns,
				Bound: bound.Config{Mode: bound.Window, EventBytes: size, Count: count, Page: cfg.Page},
				Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
					m, err := e.FillSlot(ctx, s, count, cfg.Page)
					if err != nil {
						return nil, err
					}
					return &windowRunner{e: e, s: s, m: m, conns: conns}, nil
				},
			})
		}
	}
	return out
}

// lengthText prints a length in MiB if it is whole, else in bytes.
func lengthText(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d B", n)
}

// A windowRunner takes windows over many connections.
type windowRunner struct {
	e     *run.Env
	s     *load.Server
	m     *load.Image
	conns int
}

func (r *windowRunner) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = load.NewPuller(r.e.Template, r.s, r.m, r.e.Config.Page)
	}
	return r.e.RunClosed(ctx, r.s, ws)
}
