package attack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"cowrelay/bench/attack/client"
	"cowrelay/bench/attack/drill"
	"cowrelay/bench/attack/honest"
	"cowrelay/bench/attack/relay"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
)

// A run is one variant of a drill that is being run.
type run struct {
	*drill.Scene
	cfg    *Config
	v      *drill.Variant
	honest *honest.Load
	res    *Result
	died   bool                             // the relay ended under attack
	step   func(format string, args ...any) // shows progress
}

// Run runs the named drills, or all of them without names, and gives each
// result to emit. It returns an error if a drill could not be run; bars that do
// not hold are in the results. When it returns, every process that it started
// is gone.
func Run(ctx context.Context, cfg Config, names []string, emit func(Result)) error {
	if err := errors.Join(cfg.Validate(), drill.CheckNames(names)); err != nil {
		return err
	}
	if err := proc.RaiseFiles(0); err != nil {
		return err
	}
	machine := report.ReadMachine(cfg.Commit, cfg.Dir)
	type job struct {
		name string
		v    drill.Variant
	}
	var jobs []job
	for _, d := range drill.All {
		if len(names) > 0 && !slices.Contains(names, d.Name) {
			continue
		}
		for _, v := range d.Variants(cfg.scale()) {
			jobs = append(jobs, job{d.Name, v})
		}
	}
	var mu sync.Mutex
	done := 0
	var all []func() error
	for _, j := range jobs {
		all = append(all, func() error {
			r := &run{cfg: &cfg, v: &j.v}
			r.step = func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				if cfg.Progress == nil {
					return
				}
				cfg.Progress.Show("attack "+j.name, float64(done)/float64(len(jobs)), fmt.Sprintf(format, args...))
			}
			r.Scene = &drill.Scene{Scale: cfg.scale(), Bar: r.bar, Note: r.note}
			r.res = &Result{Drill: j.name, Variant: j.v.Name, Short: cfg.Short, Kills: cfg.Kills, Machine: machine}
			err := r.all(ctx)
			mu.Lock()
			defer mu.Unlock()
			done++
			if cfg.Progress != nil {
				cfg.Progress.Clear()
			}
			if err != nil {
				return fmt.Errorf("%s (%s): %w", j.name, j.v.Name, err)
			}
			emit(*r.res)
			return nil
		})
	}
	return client.Parallel(ctx, cfg.AtOnce, all)
}

// all runs the variant, from an empty folder to the end.
func (r *run) all(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(r.cfg.Dir, "relaybench-attack-")
	if err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var g *cgroup.Group
	if r.cfg.NoGroup {
		r.res.Limits = "GOMEMLIMIT=" + relay.PlainLimit(r.cfg.memory())
	} else if g, err = cgroup.New(r.cfg.memory()); err != nil {
		r.res.Limits = "GOMEMLIMIT=" + relay.PlainLimit(r.cfg.memory())
		r.res.Notes = append(r.res.Notes, err.Error())
	} else {
		r.res.Limits = g.String()
	}
	defer func() { err = errors.Join(err, g.Remove()) }()
	if r.Relay, err = relay.New(r.cfg.Relay, dir, r.v.Relay, g); err != nil {
		return err
	}
	r.Relay.Plain = relay.PlainLimit(r.cfg.memory())
	if r.v.Disk > 0 {
		unmount, err := r.Relay.MountDisk(r.v.Disk)
		if err != nil {
			r.res.Skipped = err.Error()
			return nil
		}
		defer func() { err = errors.Join(err, unmount()) }()
	}
	defer r.Relay.Kill() // does nothing after an orderly end
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if r.cfg.Kills > 0 {
		return r.kills(ctx)
	}
	return r.measure(ctx)
}

// prepare fills the store and starts the relay anew, so that slots are cold.
// The variant's limits begin after that.
func (r *run) prepare(ctx context.Context) error {
	r.step("filling the store")
	final := r.Relay.Args
	r.Relay.Args = relay.Args{}
	if err := r.Relay.Start(ctx); err != nil {
		return err
	}
	r.honest = honest.New(r.Relay, r.v.Light)
	r.Kept = r.honest.Kept
	if r.v.Meets {
		r.honest.Meet(!r.v.Full)
	}
	r.honest.Refusable = r.v.Disk > 0
	cold := r.v.Cold
	if cold == 0 {
		cold = r.Of(coldSlots, 30)
	}
	if err := r.honest.Fill(ctx, cold); err != nil {
		return err
	}
	if r.v.Fill != nil {
		if err := r.v.Fill(ctx, r.Scene); err != nil {
			return err
		}
	}
	if _, err := r.Relay.Stop(relay.StopTimeout); err != nil {
		return err
	}
	r.Relay.Args = final
	return r.Relay.Start(ctx)
}
