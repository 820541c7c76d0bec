package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"cowrelay/bench/peer"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario"
)

// options are what the command line says.
type options struct {
	scenarios []string
	peers     bool // no scenarios, but peers
	cfg       run.Config
	beside    []string // the names of the peers; none: all
	noBound   bool
	json      bool
	quiet     bool
	out       string
	procs     int
	args      []string // the command line, for the record
}

// parse reads the command line. Its error lists all that is wrong, a line each.
func parse(args []string) (*options, error) {
	o := &options{cfg: run.Defaults(), args: args}
	fs := o.flags()
	var errs []error
	names := []string{}
	all := false
	if len(args) == 1 && args[0] == "help" {
		return nil, errHelp
	}
	// The flag package stops at the first fault, and at the first word that is not a
	// flag. It has consumed either when it returns, so we go on behind it.
	for len(args) > 0 {
		err := fs.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return nil, errHelp
		case err != nil:
			errs = append(errs, err)
		case fs.NArg() > 0:
			names = append(names, fs.Arg(0))
		}
		if rest := fs.Args(); err == nil && len(rest) > 0 {
			args = rest[1:]
		} else {
			args = rest
		}
	}
	for _, n := range names {
		switch {
		case n == peersWord:
			o.peers = true
		case n == "all":
			all = true
			o.scenarios = append(o.scenarios, scenario.Names...)
		case slices.Contains(scenario.Names, n), slices.Contains(scenario.Apart, n):
			o.scenarios = append(o.scenarios, n)
		default:
			errs = append(errs, fmt.Errorf("unknown scenario %q: want %s or all", n, strings.Join(slices.Concat(scenario.Names, scenario.Apart), ", ")))
		}
	}
	if all && o.cfg.Target != "" {
		// What stops the relay needs a relay of our own.
		o.scenarios = slices.DeleteFunc(o.scenarios, func(n string) bool { return slices.Contains(scenario.NeedRelay, n) })
		o.cfg.GrowthSlots = nil
	}
	if len(names) == 0 {
		errs = append(errs, fmt.Errorf("no scenario: want %s or all", strings.Join(slices.Concat(scenario.Names, scenario.Apart), ", ")))
	}
	if o.procs < 0 || o.procs > 1024 {
		errs = append(errs, fmt.Errorf("procs %d: want 0 to 1024", o.procs))
	}
	validate := o.cfg.Validate
	if o.peers {
		validate = (&peer.Config{Config: o.cfg, Peers: o.beside}).Validate
		if len(names) > 1 {
			errs = append(errs, errors.New("peers stands alone: its scenarios are its own"))
		}
	} else if len(o.beside) > 0 {
		errs = append(errs, fmt.Errorf("peers: only after the word %s", peersWord))
	}
	if err := errors.Join(append(errs, validate())...); err != nil {
		return nil, err
	}
	return o, nil
}

// flags binds the flags to o. Each is explained in help.go.
func (o *options) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("relaybench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c := &o.cfg
	fs.StringVar(&c.Target, "target", "", "")
	fs.IntVar(&c.TargetPID, "target-pid", 0, "")
	fs.StringVar(&c.Relay, "relay", "", "")
	fs.Func("relay-args", "", func(s string) error {
		c.RelayArgs = append(c.RelayArgs, strings.Fields(s)...)
		return nil
	})
	fs.StringVar(&c.Header, "header", "", "")
	fs.BoolVar(&o.noBound, "no-bound", false, "")
	fs.StringVar(&c.Dir, "dir", c.Dir, "")
	fs.IntVar(&c.Rounds, "rounds", c.Rounds, "")
	fs.DurationVar(&c.Duration, "duration", c.Duration, "")
	fs.DurationVar(&c.Warmup, "warmup", c.Warmup, "")
	fs.IntVar(&o.procs, "procs", 0, "")
	fs.Func("conns", "", func(s string) error { return list(&c.Conns, s, strconv.Atoi) })
	fs.IntVar(&c.EventBytes, "event-bytes", 0, "")
	fs.Func("slot-bytes", "", func(s string) error { return list(&c.SlotBytes, s, parseBytes) })
	fs.IntVar(&c.Page, "page", c.Page, "")
	fs.IntVar(&c.BatchEvents, "batch-events", c.BatchEvents, "")
	fs.IntVar(&c.BatchPosters, "batch-posters", c.BatchPosters, "")
	fs.Float64Var(&c.BesideRate, "beside-rate", c.BesideRate, "")
	fs.IntVar(&c.FileLines, "file-lines", c.FileLines, "")
	fs.IntVar(&c.Streams, "streams", c.Streams, "")
	fs.IntVar(&c.IdleStreams, "idle-streams", c.IdleStreams, "")
	fs.DurationVar(&c.IdleSettle, "idle-settle", c.IdleSettle, "")
	fs.DurationVar(&c.Heartbeat, "heartbeat", c.Heartbeat, "")
	fs.IntVar(&c.EdgeStreams, "edge-streams", c.EdgeStreams, "")
	fs.IntVar(&c.EdgeSlots, "edge-slots", c.EdgeSlots, "")
	fs.Float64Var(&c.EdgeRate, "edge-rate", c.EdgeRate, "")
	fs.Func("edge-memory", "", func(s string) (err error) {
		c.EdgeMemory, err = parseBytes(s)
		return err
	})
	fs.Float64Var(&c.ColdTimes, "cold-times", c.ColdTimes, "")
	fs.IntVar(&c.ColdSlotEvents, "cold-slot-events", c.ColdSlotEvents, "")
	fs.Float64Var(&c.ColdHotRate, "cold-hot-rate", c.ColdHotRate, "")
	fs.Float64Var(&c.ColdPostRate, "cold-post-rate", c.ColdPostRate, "")
	fs.Float64Var(&c.ColdRate, "cold-rate", c.ColdRate, "")
	fs.IntVar(&c.ChurnStreams, "churn-streams", c.ChurnStreams, "")
	fs.IntVar(&c.MixAgents, "mix-agents", c.MixAgents, "")
	fs.Float64Var(&c.MixSpeed, "mix-speed", c.MixSpeed, "")
	fs.IntVar(&c.Handles, "handles", c.Handles, "")
	fs.IntVar(&c.Posters, "posters", c.Posters, "")
	fs.Float64Var(&c.PostRate, "post-rate", c.PostRate, "")
	fs.IntVar(&c.Pullers, "pullers", c.Pullers, "")
	fs.Float64Var(&c.PullRate, "pull-rate", c.PullRate, "")
	fs.IntVar(&c.PullerNice, "puller-nice", c.PullerNice, "")
	fs.Func("peers", "", func(s string) error {
		return list(&o.beside, s, func(name string) (string, error) { return name, nil })
	})
	fs.Func("growth-lengths", "", func(s string) error { return list(&c.GrowthLengths, s, strconv.Atoi) })
	fs.IntVar(&c.GrowthEvents, "growth-events", c.GrowthEvents, "")
	fs.Func("growth-streams", "", func(s string) error { return list(&c.GrowthStreams, s, strconv.Atoi) })
	fs.Func("growth-slots", "", func(s string) error { return list(&c.GrowthSlots, s, strconv.Atoi) })
	fs.IntVar(&c.RestartSlots, "restart-slots", c.RestartSlots, "")
	fs.Func("restart-bytes", "", func(s string) (err error) {
		c.RestartBytes, err = parseBytes(s)
		return err
	})
	fs.StringVar(&o.out, "out", "", "")
	fs.BoolVar(&o.json, "json", false, "")
	fs.BoolVar(&o.quiet, "quiet", false, "")
	fs.StringVar(&c.Commit, "commit", "", "")
	fs.StringVar(&c.Profile, "profile", "", "")
	return fs
}

// list parses values with commas between them. Nothing is no values.
func list[T any](to *[]T, s string, one func(string) (T, error)) error {
	*to = nil
	if s == "" {
		return nil
	}
	for f := range strings.SplitSeq(s, ",") {
		v, err := one(strings.TrimSpace(f))
		if err != nil {
			return err
		}
		*to = append(*to, v)
	}
	return nil
}

// parseBytes parses a number of bytes, alone or with KiB, MiB or GiB behind it.
func parseBytes(s string) (int64, error) {
	unit := int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(rest), n
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no number of bytes such as 65536 or 64MiB", s)
	}
	return n * unit, nil
}
