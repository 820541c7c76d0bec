package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cowrelay/bench/fleet/act"
	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/check"
	"cowrelay/bench/fleet/fault"
)

// Config says what a round is.
type Config struct {
	Faulty time.Duration // how long faults come and go
	Calm   time.Duration // how long the clients go on without
	AtOnce int           // how many faults at the same time
	// Every so many rounds by the seed, a round is three times as long, with one more
	// fault at a time, and faults last four times as long: longer than relays and
	// clients are patient. 0: never.
	LongEvery uint64
	Keep      int64 // bytes of its newest events that a slot keeps, at least
	Actors    int   // clients that act, beside those that read streams; 0: as many as two cores bear
	// Patience is how long all may take to be whole again after the faults.
	Patience time.Duration
}

// Defaults returns a round of some 10 s.
func Defaults() Config {
	return Config{Keep: fault.Keep, Faulty: 6 * time.Second, Calm: 2500 * time.Millisecond, AtOnce: 2, LongEvery: 8, Patience: 60 * time.Second}
}

// A Result is what a round came to.
type Result struct {
	Seed   uint64
	Faults []string
	Healed time.Duration // from the end of the last fault until all relays were whole
	*check.Report
	History []*call.Call // all that was seen, if something was wrong
}

// OK says whether nothing was wrong.
func (r *Result) OK() bool { return len(r.Violations) == 0 }

// Line tells the round in a line.
func (r *Result) Line() string {
	return fmt.Sprintf("%d calls (%d unknown), %d events (%d more have left), %d frames over %d moves, %d histories in order, %d faults, healed in %v",
		r.Calls, r.Unknown, r.Events, r.Left, r.Frames, r.Moves, r.Linear, len(r.Faults), r.Healed.Round(10*time.Millisecond))
}

// follow is how long streams may take to their ends when all is over. Tests set it.
var follow = 20 * time.Second

// Round runs one round on a rig. An error says that it could not be carried out, or
// that a relay did not come back.
func Round(ctx context.Context, rig fault.Rig, seed uint64, cfg Config, said func(string)) (*Result, error) {
	res := &Result{Seed: seed, Report: &check.Report{}}
	rec := call.NewRecorder()
	c := call.NewClient(rec, rig.Relays(), rig.Admins())
	defer c.Close()
	if err := allReady(ctx, c, cfg.Patience); err != nil {
		return res, err
	}
	before, err := act.Totals(ctx, c, cfg.Patience)
	if err != nil {
		return res, err
	}
	clients := act.Defaults(seed)
	if cfg.Actors > 0 {
		clients.Actors = cfg.Actors
	}
	l := act.New(clients, c)
	if err := l.Setup(ctx); err != nil {
		return res, err
	}
	loadCtx, end := context.WithCancel(ctx)
	defer end()
	l.Run(loadCtx)
	said("faults")
	targets, stretch := rig.Kinds(), 1
	if cfg.LongEvery > 0 && seed%cfg.LongEvery == 0 {
		cfg.Faulty, cfg.AtOnce, stretch = 3*cfg.Faulty, cfg.AtOnce+1, 4
	}
	steps := fault.Plan(rand.New(rand.NewPCG(seed, 1<<41)), targets, cfg.Faulty, cfg.AtOnce, stretch)
	faults := make(chan string, len(steps))
	err = fault.Run(ctx, targets, steps, func(what string) { faults <- what; said(what) })
	close(faults)
	for what := range faults {
		res.Faults = append(res.Faults, what)
	}
	healing := time.Now()
	said("healing")
	if err == nil {
		if err = errors.Join(rig.Sound(), allReady(ctx, c, cfg.Patience)); err == nil {
			err = allWhole(ctx, c, l.Slots()[0], cfg.Patience)
		}
	}
	res.Healed = time.Since(healing)
	if err == nil {
		said("calm")
		span := call.Span{Begin: rec.Now()}
		select {
		case <-ctx.Done():
		case <-time.After(cfg.Calm):
		}
		span.End = rec.Now()
		rec.Calm(span)
	}
	l.Stop()
	if err = errors.Join(err, ctx.Err()); err != nil {
		end()
		l.Follow(ctx, nil, 0)
		return res, err
	}
	said("reading all")
	reads, err := l.ReadAll(ctx, cfg.Patience)
	var sums []check.Sum
	if err == nil {
		sums, err = l.ReadSums(ctx, cfg.Patience)
	}
	said("following")
	trails := l.Follow(ctx, reads, follow)
	if err = errors.Join(err, ctx.Err(), rig.Sound()); err != nil {
		return res, err
	}
	said("checking")
	calls, calm := rec.Calls()
	res.Report = check.Check(&check.World{Calls: calls, Calm: calm, Reads: reads, Trails: trails, Sums: sums, Before: before, Keep: cfg.Keep, Forgets: len(c.Relays) == 1})
	if !res.OK() {
		res.History = calls
	}
	return res, nil
}

// allReady waits until all relays are ready.
func allReady(ctx context.Context, c *call.Client, patience time.Duration) error {
	return await(ctx, c, patience, func(relay int) error { return c.Ready(ctx, relay) })
}

// allWhole waits until each relay answers a consistent pull. A relay that can't reach
// the log yet, or hear of what others do, is ready, but can't do that. For it the faults
// are not over.
func allWhole(ctx context.Context, c *call.Client, s call.Slot, patience time.Duration) error {
	return await(ctx, c, patience, func(relay int) error {
		k := c.Pull(ctx, relay, s, call.Page{Limit: 1, Consistent: true})
		if k.Status != 200 || k.Stale {
			return fmt.Errorf("relay %d answers no consistent pull: status %d, %s", relay, k.Status, k.Text)
		}
		return nil
	})
}

// await asks each relay until the answer is no error.
func await(ctx context.Context, c *call.Client, patience time.Duration, ask func(relay int) error) error {
	end := time.Now().Add(patience)
	for relay := range c.Relays {
		for {
			err := ask(relay)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if time.Now().After(end) {
				return fmt.Errorf("after %v: %w", patience, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}
