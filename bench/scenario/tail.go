package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// tailEvents is how many of the newest events a client asks for.
const tailEvents = 10

// Tail asks a relay that has just started for the newest events of a full slot, and
// counts what the relay reads for that. There is no bound: a server that reads
// nothing has nothing stored.
func Tail(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(300)
	length := cfg.SlotBytes[0]
	for _, n := range cfg.SlotBytes {
		length = max(length, n)
	}
	count := int(length) / size
	sc := run.Variant{
		Scenario: "tail", Text: fmt.Sprintf("the newest %d x %d B of a slot of %s, after a start", tailEvents, size, lengthText(length)),
		Unit: "requests", Files: load.FillConns, OwnsRelay: true, Compared: report.BytesRead,
		Bound: bound.Config{EventBytes: size},
		Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
			m, err := e.FillSlot(ctx, s, count, cfg.Page)
			if err != nil {
				return nil, err
			}
			return &tailRunner{e: e, s: s, m: m}, nil
		},
	}
	return []run.Variant{sc}
}

// A tailRunner starts the relay anew in each round.
type tailRunner struct {
	e *run.Env
	s *load.Server
	m *load.Image
}

func (r *tailRunner) Round(ctx context.Context) (load.Sample, error) {
	if _, err := r.e.Restart(ctx, r.s, (*proc.Child).Stop); err != nil {
		return load.Sample{}, err
	}
	if err := awaitSettled(ctx, r.s.PID); err != nil {
		return load.Sample{}, err
	}
	loaded, err := r.loaded(ctx)
	if err != nil {
		return load.Sample{}, err
	}
	// The metrics were read over a socket, which counts.
	before, err := proc.BytesRead(r.s.PID)
	if err != nil {
		return load.Sample{}, err
	}
	began := time.Now()
	page, wrong := r.ask(ctx)
	out := load.Timed(time.Since(began))
	after, err := proc.BytesRead(r.s.PID)
	if err = errors.Join(ctx.Err(), err); err != nil {
		return out, err
	}
	if out.Loaded, err = r.loaded(ctx); err != nil {
		return out, err
	}
	out.Loaded.Slots -= loaded.Slots
	out.Loaded.Chunks -= loaded.Chunks
	out.Read, out.Answer = after-before, int64(len(page))
	if wrong == nil {
		wrong = r.m.SameWindow(page, len(r.m.Order)-tailEvents, tailEvents, false)
	}
	if wrong != nil {
		out.Errors, out.FirstError = 1, wrong.Error()
	}
	r.e.Track.Add(r.e.Warmup + r.e.Duration) // what the run takes a round for
	return out, nil
}

// loaded reads what the relay has loaded since its start.
func (r *tailRunner) loaded(ctx context.Context) (*load.Loaded, error) {
	slots, err := r.s.Metric(ctx, `cowrelay_loads_total{kind="slot"}`)
	if err != nil {
		return nil, err
	}
	chunks, err := r.s.Metric(ctx, `cowrelay_loads_total{kind="chunk"}`)
	return &load.Loaded{Slots: slots, Chunks: chunks}, err
}

// ask pulls the newest events.
func (r *tailRunner) ask(ctx context.Context) ([]byte, error) {
	c, err := wire.Dial(ctx, r.s.Addr, wire.SmallBuffer)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	_ = c.TCP.SetDeadline(time.Now().Add(wire.AnswerGrace))
	return c.Pulled(nil, r.s.LastRequest(r.m.Slot, tailEvents))
}

// How long a relay must read next to nothing until its start counts as over, and
// how long that may take.
const (
	settledFor  = 300 * time.Millisecond
	settledMost = 1 << 10 // bytes
	settleLimit = 30 * time.Second
)

// awaitSettled waits until the relay has done what it does after its start.
func awaitSettled(ctx context.Context, pid int) error {
	end := time.Now().Add(settleLimit)
	last := int64(-1)
	for {
		n, err := proc.BytesRead(pid)
		if err != nil {
			return err
		}
		if last >= 0 && n-last <= settledMost {
			return nil
		}
		if last = n; time.Now().After(end) {
			return fmt.Errorf("the relay still reads its files %v after its start", settleLimit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settledFor):
		}
	}
}
