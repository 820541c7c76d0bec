package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cowrelay/bench/bound"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/wire"
)

// All runs variants one after the other and gives each result to emit. Every
// server that it started is gone when it returns.
func All(ctx context.Context, cfg *Config, all []Variant, emit func(report.Result)) error {
	files := load.FillConns
	for _, sc := range all {
		if sc.OwnsRelay && cfg.Relay == "" {
			return fmt.Errorf("%s (%s) stops the relay and starts it again: it needs relay, not target", sc.Scenario, sc.Text)
		}
		if sc.RunsCommands && cfg.Relay == "" {
			return fmt.Errorf("%s (%s) runs the relay's own command: it needs relay, not target", sc.Scenario, sc.Text)
		}
		if sc.GroupMemory > 0 && cfg.Relay == "" {
			return fmt.Errorf("%s (%s) runs the relay in a control group: it needs relay, not target", sc.Scenario, sc.Text)
		}
		files = max(files, sc.Files)
		if err := checkPorts(cfg, sc.Ports); err != nil {
			return fmt.Errorf("%s (%s): %w", sc.Scenario, sc.Text, err)
		}
	}
	if err := proc.RaiseFiles(files); err != nil {
		return err
	}
	var prof *report.Profiler
	if cfg.Profile != "" {
		var err error
		if prof, err = profilerFor(cfg, all); err != nil {
			return err
		}
	}
	machine := report.ReadMachine(cfg.Commit, cfg.Dir)
	for _, sc := range all {
		rs, err := one(ctx, cfg, sc, prof)
		if cfg.Progress != nil {
			cfg.Progress.Clear()
		}
		for _, r := range rs {
			r.Machine = machine
			if prof != nil {
				r.Notes = append(r.Notes, "profiles were taken in the relay's rounds, which cost it something")
			}
			emit(r)
		}
		if err != nil {
			return fmt.Errorf("%s (%s): %w", sc.Scenario, sc.Text, err)
		}
	}
	return prof.Finish()
}

// profilerFor returns a profiler. There must be one load: the sum of the
// profiles of several would say nothing about any of them.
func profilerFor(cfg *Config, loads []Variant) (*report.Profiler, error) {
	if len(loads) != 1 {
		var names []string
		for _, sc := range loads {
			names = append(names, fmt.Sprintf("%s (%s)", sc.Scenario, sc.Text))
		}
		return nil, fmt.Errorf("a profile is of one load, and these are %d: %s", len(loads), strings.Join(names, "; "))
	}
	return report.NewProfiler(cfg.Profile, cfg.Duration)
}

// one starts the servers of a variant, runs it, and stops them.
func one(ctx context.Context, cfg *Config, sc Variant, prof *report.Profiler) (rs []report.Result, err error) {
	dir, err := os.MkdirTemp(cfg.Dir, "relaybench-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	sc.Bound.Nonce = wire.NewNonce()
	t, err := wire.NewTemplate(sc.Bound.EventBytes, sc.Bound.Nonce)
	if err != nil {
		return nil, err
	}
	e := NewEnv(cfg, t)
	e.Variant, e.Dir, e.args = sc, dir, slices.Concat(sc.RelayArgs, prof.RelayArgs(cfg.RelayArgs))
	if sc.Prepare != nil {
		more, err := sc.Prepare(dir)
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, more...)
	}
	if prof != nil {
		e.Profile = prof
	}
	if p := cfg.Progress; p != nil {
		what := sc.Scenario + " " + sc.Text
		e.Track = load.NewTrack(func(part float64, step string) { p.Show(what, part, step) })
	}
	if sc.GroupMemory > 0 {
		if e.Group, err = cgroup.New(sc.GroupMemory); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, e.Group.Remove()) }() // after the relay has stopped
	}
	var relay, beside *load.Server // the bound, or a peer
	defer func() { err = errors.Join(err, relay.Stop(), beside.Stop()) }()
	e.Track.Step("starting the relay")
	if cfg.Relay != "" {
		relay, err = load.StartRelay(ctx, e.Group.Command(), cfg.Relay, e.args, dir)
	} else {
		relay, err = load.Attach(cfg.Target, cfg.TargetPID)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case sc.Other != nil:
		e.Track.Step("starting the peer")
		if beside, err = sc.Other(ctx, e); err != nil {
			return nil, err
		}
	case len(cfg.Self) > 0 && sc.Bound.Mode != "":
		e.Track.Step("starting the bound")
		if beside, err = bound.Start(ctx, cfg.Self, sc.Bound, dir); err != nil {
			return nil, err
		}
	}
	for _, s := range []*load.Server{relay, beside} {
		if s != nil {
			s.Header = cfg.Header
		}
	}
	if sc.Drive != nil {
		return sc.Drive(ctx, e, relay, beside)
	}
	r, err := Alternate(ctx, e, sc, relay, beside)
	if err != nil {
		return nil, err
	}
	return []report.Result{r}, nil
}
