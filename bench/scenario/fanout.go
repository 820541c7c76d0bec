package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/run"
)

// Fanout posts to one slot and reads every event at every stream of that slot.
// Each event is counted, and its place in the order checked, at every stream.
// The bound has one buffer of frames, and a goroutine with a cursor for each
// stream; its posts pay the same sync, so that both sides wait for a disk
// before they deliver.
func Fanout(cfg *run.Config) []run.Variant {
	size := cfg.EventBytesOr(512)
	return []run.Variant{{
		Scenario: "fanout",
		Text:     fmt.Sprintf("%d streams, %d posters, %d B", cfg.Streams, cfg.Posters, size),
		Unit:     "deliveries", Files: cfg.Streams + cfg.Posters,
		Bound: bound.Config{Mode: bound.Fanout, EventBytes: size},
		Open: func(_ context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
			return NewFanoutRunner(e, s, nil), nil
		},
	}}
}

// A FanoutRunner posts to one slot, new in each round, and reads all its
// streams. It counts the deliveries in the measured time. Their latency is from
// the start of the post.
type FanoutRunner struct {
	e    *run.Env
	s    *load.Server
	at   Venue  // nil: s, over HTTP
	next uint64 // the first event number of the next round
}

// NewFanoutRunner returns a fan-out at a venue, or at s over HTTP if that is
// nil.
func NewFanoutRunner(e *run.Env, s *load.Server, at Venue) *FanoutRunner {
	return &FanoutRunner{e: e, s: s, at: at}
}

func (r *FanoutRunner) Round(ctx context.Context) (load.Sample, error) {
	v := r.at
	if v == nil {
		v = &httpVenue{e: r.e, s: r.s}
	}
	if err := v.Begin(ctx); err != nil {
		return load.Sample{}, err
	}
	room := load.SlotEvents(r.e.Template.Size())
	f := &fanoutRound{
		t: r.e.Template, base: r.next, began: time.Now(), hist: load.NewHistogram(),
		order: make([]atomic.Uint64, room), sentNs: make([]atomic.Int64, room),
	}
	r.next += uint64(room)

	streams, err := r.openStreams(ctx, f, v)
	var readers sync.WaitGroup
	defer func() {
		f.closed.Store(true)
		for _, st := range streams {
			st.feed.Close()
		}
		readers.Wait()
	}()
	if err != nil {
		return load.Sample{}, err
	}
	for _, st := range streams {
		readers.Go(st.run)
	}
	out, err := r.load(ctx, f, v, streams)
	if err != nil {
		return out, err
	}
	f.await(ctx, streams)
	f.verify(streams)
	f.mu.Lock()
	out.Hist = f.hist
	out.Latency = f.hist.Latency()
	f.mu.Unlock()
	f.log.Into(&out)
	return out, ctx.Err()
}

// load runs the posters and counts the deliveries while they post.
func (r *FanoutRunner) load(ctx context.Context, f *fanoutRound, v Venue, streams []*StreamReader) (out load.Sample, err error) {
	var (
		posters sync.WaitGroup
		stop    atomic.Bool
		ps      = make([]NumberPoster, r.e.Config.Posters)
	)
	// A full slot ends the measured time early.
	open, full := context.WithCancel(ctx)
	defer full()
	for i := range ps {
		if ps[i], err = v.Poster(ctx); err != nil {
			for _, p := range ps[:i] {
				p.Close()
			}
			return out, err
		}
	}
	for _, p := range ps {
		posters.Go(func() {
			defer p.Close()
			errs := 0
			for !stop.Load() && errs < load.MaxWorkerErrors {
				more, err := f.post(ctx, p)
				if err != nil {
					f.log.Add(err)
					errs++
				}
				if !more {
					full()
					return
				}
			}
		})
	}
	defer func() {
		stop.Store(true)
		load.AwaitWorkers(&posters, &f.log, func() {
			for _, p := range ps {
				p.Interrupt()
			}
		})
	}()
	if err = r.e.Wait(open, r.e.Config.Warmup); err != nil {
		return out, fmt.Errorf("the slot was full before the warm-up was over: %w", err)
	}
	a, err := proc.ReadUsage(r.s.PID)
	if err != nil {
		return out, err
	}
	profiled := r.e.TakeProfiles(ctx, r.s, r.e.Config.Duration)
	before := delivered(streams)
	if err = r.e.Wait(open, r.e.Config.Duration); err != nil && ctx.Err() != nil {
		return out, errors.Join(err, profiled())
	}
	out.Ops = delivered(streams) - before
	b, err := proc.ReadUsage(r.s.PID)
	out.Account(a, b)
	return out, errors.Join(err, profiled())
}

// openStreams opens all streams of a round.
func (r *FanoutRunner) openStreams(ctx context.Context, f *fanoutRound, v Venue) ([]*StreamReader, error) {
	var out []*StreamReader
	for range r.e.Config.Streams {
		st := &StreamReader{f: f}
		var err error
		if st.feed, err = v.Stream(ctx, st); err != nil {
			return out, fmt.Errorf("cannot open a stream: %w", err)
		}
		out = append(out, st)
	}
	return out, nil
}
