package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/fleet/chaos"
	"cowrelay/bench/fleet/fault"
)

// chaosOptions are the flags of chaos.
type chaosOptions struct {
	relay, dir, journal string
	rounds              int
	seed                uint64
	round               chaos.Config
}

func runChaos(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) (err error) {
	o := chaosOptions{round: chaos.Defaults()}
	fs := flag.NewFlagSet("relayfleet chaos", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.relay, "relay", "", "the relay's binary")
	fs.StringVar(&o.dir, "dir", ".", "where folders are made; on a disk")
	fs.StringVar(&o.journal, "journal", "jetstream", "jetstream: three relays on three servers; file: one relay with a log of its own")
	fs.IntVar(&o.rounds, "rounds", 100, "how many rounds")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().Unix())*1000, "of the first round; each has the next one")
	fs.DurationVar(&o.round.Faulty, "faulty", o.round.Faulty, "how long faults come and go in a round")
	fs.DurationVar(&o.round.Calm, "calm", o.round.Calm, "how long clients go on without faults in a round")
	fs.IntVar(&o.round.Actors, "actors", 0, "clients that act at the same time; 0: as many as two cores bear")
	fs.DurationVar(&o.round.Patience, "patience", o.round.Patience, "how long all may take to be whole again after the faults")
	fs.Uint64Var(&o.round.LongEvery, "long-every", o.round.LongEvery, "of so many seeds one has a round three times as long, with longer faults; 0: none")
	fs.IntVar(&o.round.AtOnce, "at-once", o.round.AtOnce, "how many faults at the same time")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if o.relay == "" || fs.NArg() > 0 || o.rounds < 1 || o.round.Faulty < time.Second || o.round.AtOnce < 1 {
		return errors.New("want --relay, no further words, at least one round, of at least a second, with at least one fault at once")
	}
	if o.relay, err = filepath.Abs(o.relay); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "chaos-")
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	rig, err := o.rig(ctx, dir)
	if err == nil {
		if err = o.play(ctx, rig, dir, stdout, stderr); err == nil {
			err = rig.Verify(ctx)
		}
		err = errors.Join(err, rig.Close())
	}
	if err != nil {
		return fmt.Errorf("%w\nfolders and logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

func (o *chaosOptions) rig(ctx context.Context, dir string) (fault.Rig, error) {
	switch o.journal {
	case "file":
		return fault.Single(ctx, o.relay, dir)
	case "jetstream":
		f, err := fault.StartFleet(ctx, fault.FleetConfig{Binary: o.relay, Dir: dir, Relays: 3, Servers: 3, Trims: true})
		if err != nil {
			return nil, err
		}
		return f, nil
	}
	return nil, fmt.Errorf("journal %q: want jetstream or file", o.journal)
}

// play runs the rounds, and stops at the first that fails. Then all calls of that are
// written to calls.jsonl in dir.
func (o *chaosOptions) play(ctx context.Context, rig fault.Rig, dir string, stdout io.Writer, stderr *os.File) error {
	began, undecided := time.Now(), 0
	for n := range o.rounds {
		seed := o.seed + uint64(n)
		show := newProgress(stderr, n, o.rounds, began)
		res, err := chaos.Round(ctx, rig, seed, o.round, show.step)
		show.clear()
		if err != nil {
			return fmt.Errorf("round %d, --seed %d, faults %s: %w", n+1, seed, strings.Join(res.Faults, "; "), err)
		}
		fmt.Fprintf(stdout, "round %d, seed %d: %s\n", n+1, seed, res.Line())
		undecided += len(res.Undecided)
		for _, u := range res.Undecided {
			fmt.Fprintf(stdout, "  no order found in time, and none excluded: %s\n", u)
		}
		if !res.OK() {
			if err := writeCalls(filepath.Join(dir, "calls.jsonl"), res.History); err != nil {
				return err
			}
			return fmt.Errorf("round %d broke the contract; again with --seed %d --rounds 1; faults: %s\n  %s", n+1, seed,
				strings.Join(res.Faults, "; "), strings.Join(res.Violations, "\n  "))
		}
	}
	fmt.Fprintf(stdout, "%d rounds in %v: nothing lost, doubled or out of order; %d histories undecided\n", o.rounds, time.Since(began).Round(time.Second), undecided)
	return nil
}

// writeCalls writes calls as JSON lines.
func writeCalls(name string, calls []*call.Call) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := json.NewEncoder(f)
	for _, c := range calls {
		if err := out.Encode(c); err != nil {
			return err
		}
	}
	return nil
}
