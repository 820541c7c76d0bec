package scenario

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// settle is how long after its start the relay's memory is read. It is a
// variable for the tests.
var settle = time.Second

// driveSlots makes slots up to each number, reads the relay's memory, and
// starts the relay anew. What it holds then is what slots cost that nobody
// uses.
func driveSlots(ctx context.Context, e *run.Env, relay *load.Server) (out []report.Result, err error) {
	type held struct {
		slots int
		bytes int64
	}
	var (
		slots slotSample
		made  int
		lasts = map[string]held{} // the last point of each curve
	)
	// Memory counts from that of an empty relay, started like the later ones.
	if _, err := e.Restart(ctx, relay, (*proc.Child).Stop); err != nil {
		return nil, err
	}
	base, err := settled(ctx, e, relay)
	if err != nil {
		return nil, err
	}
	for _, n := range e.Config.GrowthSlots {
		text := load.Thousands(float64(n)) + " slots"
		add := func(sub report.Subject, s load.Sample, m report.Metric) error {
			now, err := settled(ctx, e, relay)
			if err != nil {
				return err
			}
			sub.Scenario, sub.Point.Axis, sub.Point.X = "growth", "slots", float64(n)
			r := report.Compare(sub, []load.Sample{s}, nil, m)
			r.BytesEach = float64(now-base) / float64(n)
			if last, ok := lasts[sub.Point.Curve]; ok {
				r.BytesEachMore = float64(now-last.bytes) / float64(n-last.slots)
			}
			lasts[sub.Point.Curve] = held{n, now}
			out = append(out, r)
			return nil
		}
		e.Track.Step("allocating up to " + text)
		s, err := e.RunNumbers(ctx, relay, load.FillConns, made, n, func() load.Numbered {
			return &allocator{Link: wire.Link{Addr: relay.Addr, Buffer: wire.SmallBuffer}, s: relay, keep: slots.add}
		}, e.Track.Prepared)
		if err != nil {
			return out, err
		}
		made = n
		if err := add(report.Subject{
			Variant: fmt.Sprintf("%s, allocated over %d conns", text, load.FillConns),
			Unit:    "slots", Point: &report.Point{Curve: "slots allocated"},
		}, s, report.Throughput); err != nil || s.Errors > 0 {
			return out, err
		}

		e.Track.Step("starting with " + text)
		took, err := e.Restart(ctx, relay, (*proc.Child).Stop)
		if err != nil {
			return out, err
		}
		if err := add(report.Subject{
			Variant: text + ", start to readiness",
			Unit:    "starts", Point: &report.Point{Curve: "slots cold"},
		}, load.Timed(took), report.Worst); err != nil {
			return out, err
		}
		// Not earlier: slots that somebody asked for are not cold.
		if err := slots.check(ctx, relay); err != nil {
			out[len(out)-1].Relay.Wrong(err)
		}
	}
	return out, nil
}

// settled returns the relay's memory in bytes, once it has settled.
func settled(ctx context.Context, e *run.Env, relay *load.Server) (int64, error) {
	if err := e.Wait(ctx, settle); err != nil {
		return 0, err
	}
	return proc.Memory(relay.PID)
}
