package retention

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/record"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// fillLimit and checkLimit bound the phases that have no time of their own.
const (
	fillLimit  = 20 * time.Minute
	checkLimit = 10 * time.Minute
)

// Run runs the phases and writes what it saw to the folder c.Out. It returns an error if
// the run could not be made. A verdict that is not good is no error.
func Run(ctx context.Context, c Config) (rec *Record, v *record.Verdict, err error) {
	if err := c.Validate(); err != nil {
		return nil, nil, err
	}
	c.Self = nil // no bound: the quiet phase is what others are held against
	rec = &Record{}
	w, err := record.Create(filepath.Join(c.Out, FileName), rec.add)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	sc := c.variant()
	w.Put(entry{Setup: &Setup{
		Variant: sc.Text, Command: c.Command, Events: int64(c.Events), Expiring: int64(c.expiring()) * int64(c.SlotEvents),
		Size: int64(c.EventBytesOr(eventBytes)), TTL: c.TTL, Wait: c.Wait, Spare: c.Spare, Machine: report.ReadMachine(c.Commit, c.Dir),
	}})
	sc.Drive = func(ctx context.Context, e *run.Env, relay, _ *load.Server) ([]report.Result, error) {
		d := &driver{c: &c, w: w, rec: rec, e: e, s: relay, data: filepath.Join(e.Dir, "relay"), zero: time.Now()}
		d.f = &filled{c: &c, e: e, s: relay, of: events{rand.Uint64(), c.EventBytesOr(eventBytes)}}
		return nil, d.run(ctx)
	}
	err = run.All(ctx, &c.Config, []run.Variant{sc}, func(report.Result) {})
	if err != nil && len(rec.Samples) == 0 {
		return nil, nil, err
	}
	v = rec.Judge()
	w.Put(entry{Verdict: v})
	return rec, v, err
}

// A driver drives one run. One goroutine uses it.
type driver struct {
	c     *Config
	w     *record.Writer[entry]
	rec   *Record // what w has written
	e     *run.Env
	s     *load.Server
	f     *filled
	data  string // the relay's data folder
	zero  time.Time
	phase atomic.Pointer[string] // read by the posts beside
	began []Phase                // each with the time of its beginning, in Seconds
	res   Result
}

func (d *driver) run(ctx context.Context) (err error) {
	if err := d.f.allocate(ctx); err != nil {
		return err
	}
	d.enter(Quiet)
	b, err := startBeside(ctx, d.c, d.w, d.s, rand.Uint64(), d.zero, &d.phase)
	if err != nil {
		return err
	}
	err = d.phases(ctx)
	d.enter("") // the posts that still run count for no phase
	err = errors.Join(err, b.end())
	for i, p := range d.began[:len(d.began)-1] {
		p.Seconds = d.began[i+1].Seconds - p.Seconds
		if h, ok := b.of[p.Name]; ok {
			p.Posts = h.Latency()
		}
		d.w.Put(entry{Phase: &p})
	}
	if err != nil {
		return err
	}
	d.res.Beside, d.res.Errors, d.res.FirstError = b.sum.Ops, b.sum.Errors, b.sum.FirstError
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	if d.res.Kept, err = d.f.check(ctx); err != nil {
		d.res.Errors++
		if d.res.FirstError == "" {
			d.res.FirstError = err.Error()
		}
	}
	// All posts beside are answered: the last sample is of what they left.
	if _, err := d.sample(ctx, Space); err != nil {
		return err
	}
	d.w.Put(entry{Result: &d.res})
	return nil
}

// phases runs the phases up to the check.
func (d *driver) phases(ctx context.Context) error {
	d.e.Track.Step("quiet: posts at a fixed rate")
	if _, err := d.until(ctx, d.c.Quiet, func(*Sample) bool { return false }); err != nil {
		return err
	}
	d.enter(Fill)
	if err := d.fill(ctx); err != nil {
		return err
	}
	ttl := d.c.TTL + d.c.TTL/4 // an eighth late, and as much again for a slow machine
	d.enter(Stored)
	d.e.Track.Step("waiting for the first event to leave")
	s, err := d.until(ctx, ttl+d.c.Wait, func(s *Sample) bool { return s.Gone > 0 })
	if err != nil {
		return err
	}
	d.enter(Expiry)
	d.e.Track.Step("events leave")
	all := int64(d.c.expiring()) * int64(d.c.SlotEvents)
	if s.Gone < all {
		if _, err = d.until(ctx, ttl+d.c.Wait, func(s *Sample) bool { return s.Gone >= all }); err != nil {
			return err
		}
	} else if _, err = d.sample(ctx, Expiry); err != nil {
		return err
	}
	d.enter(Space)
	d.e.Track.Step("waiting for the space on disk")
	_, err = d.until(ctx, d.c.Wait, d.rec.Setup.isBack)
	return err
}

// fill posts the events, and samples beside it.
func (d *driver) fill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fillLimit)
	defer cancel()
	begin := time.Now()
	done := make(chan error, 1)
	go func() { done <- d.f.fill(ctx) }()
	tick := time.NewTicker(d.c.Every)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			d.res.FillPerSec = float64(d.c.Events) / time.Since(begin).Seconds()
			if err == nil {
				_, err = d.sample(ctx, Fill)
			}
			return err
		case <-tick.C:
		}
		if _, err := d.sample(ctx, Fill); err != nil {
			cancel()
			return errors.Join(err, <-done)
		}
	}
}

// enter begins a phase; "" ends the last one.
func (d *driver) enter(phase string) {
	d.phase.Store(&phase)
	d.began = append(d.began, Phase{Name: phase, Seconds: time.Since(d.zero).Seconds()})
}

func (d *driver) sample(ctx context.Context, phase string) (*Sample, error) {
	s, err := sample(ctx, d.s, d.data)
	if err != nil {
		return nil, fmt.Errorf("a sample: %w", err)
	}
	s.At, s.Phase = time.Since(d.zero).Seconds(), phase
	d.w.Put(entry{Sample: s})
	return s, nil
}

// until samples now and then until a sample is good or the time d has passed, and
// returns the last sample.
func (d *driver) until(ctx context.Context, limit time.Duration, good func(*Sample) bool) (*Sample, error) {
	end := time.Now().Add(limit)
	tick := time.NewTicker(d.c.Every)
	defer tick.Stop()
	for {
		s, err := d.sample(ctx, *d.phase.Load())
		if err != nil || good(s) || time.Now().After(end) {
			return s, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}
