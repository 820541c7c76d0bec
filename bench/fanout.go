package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

func fanoutScenarios(cfg *Config) []scenario {
	size := cfg.eventBytes(512)
	return []scenario{{
		name:    "fanout",
		variant: fmt.Sprintf("%d streams, %d posters, %d B", cfg.Streams, cfg.Posters, size),
		unit:    "deliveries", files: cfg.Streams + cfg.Posters,
		bound: BoundConfig{Mode: boundFanout, EventBytes: size},
		open: func(_ context.Context, e *env, s *side) (runner, error) {
			return &fanoutRunner{e: e, s: s}, nil
		},
	}}
}

// fanoutRunner posts to one slot, new in each round, and reads all its streams.
// Both sides pay a sync for each batch of posts. What counts is deliveries in
// the measured time; latency is from the start of a post to its delivery.
type fanoutRunner struct {
	e    *env
	s    *side
	at   venue  // nil: the side, over HTTP
	next uint64 // first number of the next round
}

// A venue is where a round of fan-out takes place.
type venue interface {
	// begin makes a new slot.
	begin(ctx context.Context) error
	// poster returns a poster to that slot.
	poster(ctx context.Context) (numberPoster, error)
	// stream opens a stream of that slot for st. When it returns, the stream
	// must get every later event.
	stream(ctx context.Context, st *streamReader) (feed, error)
}

// A numberPoster posts events of the run's template by their number, one at a
// time.
type numberPoster interface {
	postNumber(ctx context.Context, n uint64) error
	// interrupt ends a post that waits; called from another goroutine.
	interrupt()
	close()
}

// A fanoutRound is what streams and posters of one round share.
type fanoutRound struct {
	t     *template
	base  uint64
	began time.Time
	// order holds number+1 of the event at each position, as the stream that
	// got there first saw it; all others must see the same.
	order []atomic.Uint64
	// sent is when the post of each event began, in ns since began.
	sent   []atomic.Int64
	taken  atomic.Int64 // numbers given to posters
	acked  atomic.Int64 // posts that were acknowledged
	closed atomic.Bool  // the streams are being closed by us
	log    errorLog

	mu   sync.Mutex
	hist histogram
}

func (r *fanoutRunner) round(ctx context.Context) (Sample, error) {
	v := r.at
	if v == nil {
		v = &httpVenue{e: r.e, s: r.s}
	}
	if err := v.begin(ctx); err != nil {
		return Sample{}, err
	}
	room := slotEvents(r.e.tmpl.size())
	f := &fanoutRound{
		t: r.e.tmpl, base: r.next, began: time.Now(), hist: newHistogram(),
		order: make([]atomic.Uint64, room), sent: make([]atomic.Int64, room),
	}
	r.next += uint64(room)

	streams, err := r.openStreams(ctx, f, v)
	var readers sync.WaitGroup
	defer func() {
		f.closed.Store(true)
		for _, st := range streams {
			st.feed.close()
		}
		readers.Wait()
	}()
	if err != nil {
		return Sample{}, err
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
	out.hist = f.hist
	out.Latency = f.hist.latency()
	f.mu.Unlock()
	f.log.into(&out)
	return out, ctx.Err()
}

// load runs the posters and counts deliveries while they post.
func (r *fanoutRunner) load(ctx context.Context, f *fanoutRound, v venue, streams []*streamReader) (out Sample, err error) {
	var (
		posters sync.WaitGroup
		stop    atomic.Bool
		ps      = make([]numberPoster, r.e.cfg.Posters)
	)
	// A slot that is full ends the measured time early.
	open, full := context.WithCancel(ctx)
	defer full()
	for i := range ps {
		if ps[i], err = v.poster(ctx); err != nil {
			for _, p := range ps[:i] {
				p.close()
			}
			return out, err
		}
	}
	for _, p := range ps {
		posters.Go(func() {
			defer p.close()
			errs := 0
			for !stop.Load() && errs < maxWorkerErrors {
				more, err := f.post(ctx, p)
				if err != nil {
					f.log.add(err)
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
		awaitWorkers(&posters, &f.log, func() {
			for _, p := range ps {
				p.interrupt()
			}
		})
	}()
	if err = r.e.wait(open, r.e.cfg.Warmup); err != nil {
		return out, fmt.Errorf("the slot was full before the warm-up was over: %w", err)
	}
	a, err := readUsage(r.s.pid)
	if err != nil {
		return out, err
	}
	profiled := r.e.profile.begin(ctx, r.s, r.e.cfg.Duration)
	before := delivered(streams)
	if err = r.e.wait(open, r.e.cfg.Duration); err != nil && ctx.Err() != nil {
		return out, errors.Join(err, profiled())
	}
	out.Ops = delivered(streams) - before
	b, err := readUsage(r.s.pid)
	out.account(a, b)
	return out, errors.Join(err, profiled())
}

// post posts one event; more is false when the slot has no room for another.
func (f *fanoutRound) post(ctx context.Context, p numberPoster) (more bool, err error) {
	i := f.taken.Add(1) - 1
	if i >= int64(len(f.sent)) {
		return false, nil
	}
	f.sent[i].Store(int64(time.Since(f.began)))
	if err := p.postNumber(ctx, f.base+uint64(i)); err != nil {
		return true, err
	}
	f.acked.Add(1)
	return true, nil
}

func delivered(streams []*streamReader) (n int64) {
	for _, st := range streams {
		n += st.n.Load()
	}
	return n
}

// await waits until every stream has every acknowledged event.
func (f *fanoutRound) await(ctx context.Context, streams []*streamReader) {
	end := time.Now().Add(answerGrace)
	for want := f.acked.Load() * int64(len(streams)); delivered(streams) < want; {
		if ctx.Err() != nil || time.Now().After(end) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// verify counts what is missing at each stream, what is there too often, and
// what is there without having been acknowledged.
func (f *fanoutRound) verify(streams []*streamReader) {
	want := f.acked.Load()
	for i, st := range streams {
		if n := st.n.Load(); n != want {
			f.log.addN(max(want-n, n-want), fmt.Errorf("stream %d got %d events of %d", i, n, want))
		}
	}
	seen := make([]bool, len(f.order))
	for pos := range min(want, int64(len(f.order))) {
		v := f.order[pos].Load()
		if v == 0 {
			continue // missing, and counted so
		}
		if i := v - 1 - f.base; seen[i] {
			f.log.add(fmt.Errorf("event %d was delivered twice, the second time at position %d", i, pos))
		} else {
			seen[i] = true
		}
	}
}
