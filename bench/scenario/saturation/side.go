package saturation

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/load/pullers"
	"cowrelay/bench/proc"
	"cowrelay/bench/run"
)

// A saturated is one side: a process of pullers with a long slot that they pull
// from, or of posters of batches, and in each round a new slot for each poster of
// single events.
type saturated struct {
	b    beside
	e    *run.Env
	s    *load.Server
	pull *pullers.Process
	next uint64 // the first event number of the next poster
}

// openSide fills the long slot, if there are pullers, and starts the workers.
func openSide(ctx context.Context, e *run.Env, s *load.Server, b beside) (*saturated, error) {
	var sl load.Slot
	if b.batch == 0 {
		var err error
		if sl, err = e.NewSlot(ctx, s, b.count); err != nil {
			return nil, err
		}
	}
	l, err := pullers.Start(ctx, e.Config.Loader, e.Dir, pullers.Task{
		Addr: s.Addr, Prefix: s.Prefix, Header: s.Header, Side: s.Name, Slot: sl.ID, Token: sl.Token,
		Nonce: e.Variant.Bound.Nonce, EventBytes: e.Template.Size(), Count: b.count,
		Page: e.Config.Page, Pullers: b.workers, Procs: runtime.GOMAXPROCS(0), Nice: e.Config.PullerNice, Batch: b.batch,
	})
	if err != nil {
		return nil, err
	}
	return &saturated{b: b, e: e, s: s, pull: l, next: uint64(b.count)}, nil
}

// round runs posters at their rate, and the others beside them until the last post
// is answered. A post counts if it was due in the measured time, whenever its
// answer comes, and from the time when it was due.
func (x *saturated) round(ctx context.Context, kind pullKind, rate float64, duration time.Duration) (out load.Sample, err error) {
	slots, err := x.s.AllocateN(ctx, x.b.posters)
	if err != nil {
		return out, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if kind != pullPaced {
		rate = 0
	}
	var pulls pullers.Report
	if kind != pullNone {
		if _, err = x.pull.Do(ctx, pullers.Order{Do: "start", Rate: rate}); err != nil {
			return out, err
		}
	}
	var (
		log  load.ErrorLog
		a, b proc.Usage
	)
	posts, err := x.e.StartPosts(ctx, x.posters(slots), x.b.postRate, duration)
	if err == nil {
		a, b, out.Pulls, err = x.measure(ctx, kind, duration)
	}
	if err != nil {
		cancel()
	}
	posts.End()
	if err != nil {
		return out, err
	}
	if kind != pullNone {
		if pulls, err = x.pull.Do(ctx, pullers.Order{Do: "stop"}); err != nil {
			return out, err
		}
		if pulls.Errors > 0 {
			log.AddN(pulls.Errors, fmt.Errorf("%s: %s", x.b.each, pulls.FirstError))
		}
	}
	posts.Into(&out)
	out.Account(a, b)
	log.Into(&out)
	return out, nil
}

// posters returns a poster for each slot.
func (x *saturated) posters(slots []load.Slot) []*load.Poster {
	ps := make([]*load.Poster, len(slots))
	for i, sl := range slots {
		ps[i] = load.NewPoster(x.e.Template, x.s, sl, x.next)
		x.next += load.NumbersPerPoster
	}
	return ps
}

// measure lets the warm-up pass and then the measured time. The generator's CPU
// time is that of both its processes.
func (x *saturated) measure(ctx context.Context, kind pullKind, d time.Duration) (a, b proc.Usage, pulls int64, err error) {
	clocks := func() (proc.Usage, int64, error) {
		var r pullers.Report
		if kind != pullNone {
			var err error
			if r, err = x.pull.Do(ctx, pullers.Order{Do: "report"}); err != nil {
				return proc.Usage{}, 0, err
			}
		}
		u, err := proc.ReadUsage(x.s.PID)
		u.Generator += time.Duration(r.CPUMicros) * time.Microsecond
		return u, r.Pulls, err
	}
	if err = x.e.Wait(ctx, x.e.Config.Warmup); err != nil {
		return a, b, 0, err
	}
	a, before, err := clocks()
	if err != nil {
		return a, b, 0, err
	}
	profiled := x.e.TakeProfiles(ctx, x.s, d)
	if err = x.e.Wait(ctx, d); err != nil {
		return a, b, 0, errors.Join(err, profiled())
	}
	b, after, err := clocks()
	return a, b, after - before, errors.Join(err, profiled())
}
