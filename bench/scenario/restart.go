package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// restartSamples is how many slots are read after a start, beside the one whose
// page is timed.
const restartSamples = 50

// Restart kills the relay while it takes posts, starts it again, and times two
// things: readiness, and a right page of a cold slot. There is no bound, since
// no server that does nothing has anything to recover. The page cache is as
// warm as the kill leaves it: what is measured is what the relay does before it
// serves, and not how fast a disk is.
func Restart(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(2048)
	events := max(1, int(cfg.RestartBytes/int64(cfg.RestartSlots)/int64(size)))
	sc := run.Variant{
		Scenario: "restart",
		Text:     fmt.Sprintf("%s slots with %d x %d B each, killed under posts", load.Thousands(float64(cfg.RestartSlots)), events, size),
		Unit:     "starts", Files: max(restartConns, cfg.Posters), OwnsRelay: true,
		Bound: bound.Config{EventBytes: size},
	}
	if most := cfg.RestartSlots + cfg.Posters*cfg.Rounds; most > load.SlotsOfRelay {
		sc.RelayArgs = []string{"--max-slots", fmt.Sprint(most)}
	}
	plain := sc
	sc.Drive = func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
		return driveRestart(ctx, e, plain, relay, events)
	}
	return []run.Variant{sc}
}

// restartConns is how many connections store what is there before the kills.
const restartConns = 256

// driveRestart stores slots, and kills and starts the relay in each round.
func driveRestart(ctx context.Context, e *run.Env, sc run.Variant, relay *load.Server, events int) ([]report.Result, error) {
	st := &stored{e: e, events: events, slots: make([]load.Slot, e.Config.RestartSlots)}
	e.Track.Step("storing " + sc.Text)
	s, err := e.RunNumbers(ctx, relay, min(restartConns, len(st.slots)), 0, len(st.slots), func() load.Numbered {
		return &storer{Link: wire.Link{Addr: relay.Addr, Buffer: wire.SmallBuffer}, st: st, s: relay}
	}, e.Track.Prepared)
	if err != nil {
		return nil, err
	}
	if s.Errors > 0 {
		return nil, fmt.Errorf("cannot store: %s", s.FirstError)
	}
	var ready, right []load.Sample
	next := uint64(len(st.slots)) * uint64(events)
	for n := range e.Config.Rounds {
		e.Track.Step(fmt.Sprintf("round %d of %d", n+1, e.Config.Rounds))
		e.Track.Prepared(float64(n) / float64(e.Config.Rounds))
		tail, err := killUnderPosts(ctx, e, relay, &next)
		if err != nil {
			return nil, err
		}
		i := rand.IntN(len(st.slots))
		began := time.Now()
		took, err := e.Start(ctx, relay)
		if err != nil {
			return nil, err
		}
		ready = append(ready, load.Timed(took))
		wrong := st.check(ctx, relay, i)
		one := load.Timed(time.Since(began))
		for range restartSamples {
			if wrong == nil {
				wrong = st.check(ctx, relay, rand.IntN(len(st.slots)))
			}
		}
		if wrong == nil {
			wrong = tail.check(ctx, e, relay)
		}
		if wrong != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			one.Errors, one.FirstError = 1, wrong.Error()
		}
		right = append(right, one)
	}
	var out []report.Result
	for _, part := range []struct {
		what, curve string
		samples     []load.Sample
	}{{"start to readiness", "ready", ready}, {"start to a right page of a cold slot", "right page", right}} {
		one := sc
		one.Text += ", " + part.what
		one.Point = &report.Point{Curve: part.curve, Axis: "slots", X: float64(len(st.slots))}
		out = append(out, report.Compare(one.Subject(), part.samples, nil, report.Worst))
	}
	return out, nil
}
