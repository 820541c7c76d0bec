package cold

import (
	"context"
	"fmt"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

const (
	eventBytes = 512
	page       = 100 // events that each read asks for
	hotSlots   = 32
	hotConns   = 64 // so many that a request which is due finds a free one
	postConns  = 64 // with a slot each
	coldConns  = 16

	// idleGoal is the part of the relay's core that cold reads should leave idle. On a
	// full core the latency of hot reads would say how long the queue is, and
	// nothing about the relay.
	idleGoal = 0.30
)

// Variants returns the one variant that there is. It has no bound: hot reads are
// held against those of the quiet phase.
func Variants(cfg *run.Config) []run.Variant {
	conns := cfg.ConnsOr(coldConns)[0]
	return []run.Variant{{
		Scenario: "cold", GroupMemory: cfg.EdgeMemory, Unit: "requests",
		Text: fmt.Sprintf("%g hot windows/s, %g posts/s, %d cold readers, %d x %d B a slot, %d MB and one core",
			cfg.ColdHotRate, cfg.ColdPostRate, conns, cfg.ColdSlotEvents, cfg.EventBytesOr(eventBytes), cfg.EdgeMemory/1_000_000),
		Files:    hotConns + postConns + conns,
		Bound:    bound.Config{EventBytes: cfg.EventBytesOr(eventBytes)},
		Compared: report.PartLatencies,
		Drive:    drive,
	}}
}

// drive runs all phases on one relay.
func drive(ctx context.Context, e *run.Env, s *load.Server, _ *load.Server) (rs []report.Result, err error) {
	defer func() {
		if n := e.Group.Peak().Killed; err != nil && n > 0 {
			err = fmt.Errorf("the kernel ended %d processes for want of memory: %w", n, err)
		}
	}()
	budget, err := memoryBudget(ctx, e)
	if err != nil {
		return nil, err
	}
	f, err := fill(ctx, e, s, int64(float64(budget)*e.Config.ColdTimes))
	if err != nil {
		return nil, err
	}
	r, err := newRunner(ctx, e, s, f)
	if err != nil {
		return nil, err
	}
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	w := cgroup.StartWatch(ctx, e.Group) // ended below, and by ctx
	begin, err := proc.ReadUsage(s.PID)
	var out load.Sample
	if err == nil {
		out, err = r.phases(ctx)
	}
	end, usageErr := proc.ReadUsage(s.PID)
	use := w.End(end.At.Sub(begin.At), end.Server-begin.Server)
	if err == nil {
		err = usageErr
	}
	if err != nil {
		return nil, err
	}
	use.CPU = r.cpu // of the cold phase alone
	out.Group = use
	out.Cold.Slots, out.Cold.Stored, out.Cold.Budget = len(f.slots), f.bytes(), budget
	if n := use.Killed; n > 0 {
		out.Errors += n
		out.FirstError = fmt.Sprintf("the kernel ended %d processes for want of memory", n)
	}
	res := report.Compare(e.Variant.Subject(), []load.Sample{out}, nil, report.PartLatencies)
	res.Notes = append(res.Notes, r.notes...)
	return []report.Result{res}, nil
}

// phases runs the phases after the fill. The sample is that of the cold phase,
// with the errors of all of them.
func (r *runner) phases(ctx context.Context) (out load.Sample, err error) {
	c := r.e.Config
	probe := max(c.Duration/6, time.Second)
	total := 2 * (c.Warmup + c.Duration)
	if c.ColdRate == 0 {
		total += c.Warmup + probe
	}
	r.e.Track.Begin(total)
	var errs load.Sample
	add := func(s *load.Sample) {
		if errs.Errors += s.Errors; errs.FirstError == "" {
			errs.FirstError = s.FirstError
		}
	}
	r.e.Track.Step("quiet: hot reads and posts")
	quiet, err := r.phase(ctx, c.Duration, none)
	if err != nil {
		return out, err
	}
	add(&quiet)
	cold := &load.Cold{Rate: c.ColdRate, Quiet: load.LatenciesOf(quiet.PartHists), QuietCPU: r.cpu, VsQuiet: map[string]float64{}}
	if cold.Rate == 0 {
		r.e.Track.Step("looking for the rate of cold reads")
		full, err := r.phase(ctx, probe, unbounded)
		if err != nil {
			return out, err
		}
		add(&full)
		cold.Refused = full.Cold.Refused
		cold.Rate = rateFor(cold.QuietCPU, r.cpu, full.Cold.Windows)
		r.notes = append(r.notes, fmt.Sprintf("without a bound %s cold windows/s took the relay to %.3f of the core", load.Thousands(full.Cold.Windows), r.cpu))
	}
	r.e.Track.Step(fmt.Sprintf("hot reads and posts beside %s cold reads/s", load.Thousands(cold.Rate)))
	if out, err = r.phase(ctx, c.Duration, cold.Rate); err != nil {
		return out, err
	}
	cold.Windows = out.Cold.Windows
	cold.Refused += out.Cold.Refused
	out.Cold, out.Parts = cold, load.LatenciesOf(out.PartHists)
	for name, q := range cold.Quiet {
		if q.P99 > 0 {
			cold.VsQuiet[name] = float64(out.Parts[name].P99) / float64(q.P99)
		}
	}
	r.e.Track.Step("reading back what was posted")
	if err := r.checkPosted(ctx); err != nil {
		out.Errors++
		if out.FirstError == "" {
			out.FirstError = err.Error()
		}
	}
	add(&out)
	out.Errors, out.FirstError = errs.Errors, errs.FirstError
	return out, ctx.Err()
}

// rateFor returns the cold reads a second that leave idleGoal of the core idle.
// Without them the relay took quiet of it, and beside so many a second full. If
// something else than the core was full, such as the disk, that is left idle as much.
func rateFor(quiet, full, windows float64) float64 {
	goal := 1 - idleGoal
	most := windows * goal
	if quiet >= goal { // there is no room; a few are read all the same
		most = windows / 20
	} else if full > goal {
		most = min(most, windows*(goal-quiet)/(full-quiet))
	}
	return max(1, most)
}
