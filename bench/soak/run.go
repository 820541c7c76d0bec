package soak

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/record"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/scenario/mix"
)

// Run runs a soak and writes what it saw to the folder c.Out: all readings, and
// notes that say what was run. It returns an error if the run could not be
// made. A verdict that is not good is no error.
func Run(ctx context.Context, c Config) (rec *Record, v *record.Verdict, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	c.Self = nil // no bound: there is none for a mix
	rec = &Record{}
	w, err := record.Create(filepath.Join(c.Out, FileName), rec.add)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	sc := c.variant()
	w.Put(entry{Setup: &Setup{Variant: sc.Text, Command: c.Command, Time: c.Duration, Machine: report.ReadMachine(c.Commit, c.Dir)}})
	sc.Drive = func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
		r, err := drive(ctx, &c, w, e, relay)
		return []report.Result{r}, err
	}
	err = run.All(ctx, &c.Config, []run.Variant{sc}, func(r report.Result) {
		if r.Scenario != "" {
			w.Put(entry{Load: &r})
		}
	})
	if err != nil && len(rec.Samples) == 0 {
		return nil, nil, err
	}
	v = rec.Judge()
	w.Put(entry{Verdict: v})
	return rec, v, errors.Join(err, writeNotes(c.Out, rec, v))
}

// drive fills the slots, runs one round of the mix, and samples beside it.
func drive(ctx context.Context, c *Config, w *record.Writer[entry], e *run.Env, s *load.Server) (r report.Result, err error) {
	e.Track.Step("reading the books at rest")
	rest, err := books.Read(ctx, s.Admin, "")
	if err != nil {
		return r, err
	}
	e.Track.Step("filling the slots")
	m := &minutes{}
	day, err := mix.Open(ctx, e, s, mix.Options{History: c.History, Posted: m.posted})
	if err != nil {
		return r, err
	}
	e.Track.Begin(c.Warmup + c.Duration)
	e.Track.Step("soaking")
	cpu, err := proc.ReadUsage(s.PID)
	if err != nil {
		return r, err
	}
	watch := cgroup.StartWatch(ctx, e.Group)
	p := &sampler{w: w, s: s, group: e.Group, dir: e.Dir, rest: rest.Difference(), zero: time.Now()}
	m.zero = p.zero
	sampled, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(sampled, p.zero.Add(c.Warmup+c.Duration), c.Every, c.BooksEvery)
	}()
	out, err := day.Round(ctx)
	stop()
	<-done
	end, usageErr := proc.ReadUsage(s.PID)
	out.Group = watch.End(end.At.Sub(cpu.At), end.Server-cpu.Server)
	for i, h := range m.of { // all who tell of posts have ended
		w.Put(entry{Minute: &Minute{N: i, Posts: h.Latency()}})
	}
	if err := errors.Join(err, usageErr); err != nil {
		return r, err
	}
	p.log.Into(&out)
	r = report.Compare(e.Variant.Subject(), []load.Sample{out}, nil, report.PartLatencies)
	r.Notes = append(r.Notes, fmt.Sprintf("the relay ran in %s", e.Group))
	return r, nil
}
