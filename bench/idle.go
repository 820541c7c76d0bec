package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Opening the streams of idle: so many a second, by so many goroutines.
const (
	idleOpenRate = 2500
	idleOpeners  = 16
)

// idleTime is the measured time: two heartbeats and a half at least, so that
// every stream hears two.
func (c *Config) idleTime() time.Duration { return max(c.Duration, c.Heartbeat*5/2) }

func (c *Config) idleSlots() int { return max(1, c.IdleStreams/2) }

func idleScenarios(cfg *Config) []scenario {
	return []scenario{{
		name:    "idle",
		variant: fmt.Sprintf("%s streams over %s slots, %v after the last open", count(float64(cfg.IdleStreams)), count(float64(cfg.idleSlots())), cfg.IdleSettle),
		unit:    "stream-seconds", files: cfg.IdleStreams,
		bound: BoundConfig{Mode: boundIdle, EventBytes: minEventBytes, Heartbeat: cfg.Heartbeat},
		drive: driveIdle,
	}}
}

// driveIdle runs one round on each side, one after the other: a second one
// would find the memory that the first one left.
func driveIdle(ctx context.Context, e *env, relay, bound *side) ([]Result, error) {
	if d := e.cfg.idleTime(); e.profile != nil && d != e.cfg.Duration {
		return nil, fmt.Errorf("a profile of idle needs a duration of %v at least, in which every stream hears two heartbeats", d)
	}
	var samples [2][]Sample
	each := e.cfg.IdleSettle + e.cfg.Warmup + e.cfg.idleTime()
	n := 1
	if bound != nil {
		n = 2
	}
	e.track.begin(time.Duration(n) * each)
	for i, s := range []*side{relay, bound}[:n] {
		out, err := idleRound(ctx, e, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		samples[i] = append(samples[i], out)
	}
	r := compare(e.sc, samples[0], samples[1], memoryEach)
	return []Result{r}, nil
}

// An idleLoad is the streams of one side.
type idleLoad struct {
	e       *env
	s       *side
	streams []*quietStream
	readers sync.WaitGroup
	phase   atomic.Int32
	closed  atomic.Bool // we are closing them
	log     errorLog

	mu   sync.Mutex
	hist histogram // from connecting to the first comment
}

func idleRound(ctx context.Context, e *env, s *side) (out Sample, err error) {
	if err := s.checkServerFiles(e.cfg.IdleStreams); err != nil {
		return out, err
	}
	e.track.step("making slots on the " + s.name)
	slots, err := s.allocateN(ctx, e.cfg.idleSlots())
	if err != nil {
		return out, err
	}
	before, err := residentMemory(s.pid)
	if err != nil {
		return out, err
	}
	l := &idleLoad{e: e, s: s, hist: newHistogram(), streams: make([]*quietStream, e.cfg.IdleStreams)}
	defer l.close()
	e.track.step("opening streams on the " + s.name)
	if err := l.open(ctx, slots); err != nil {
		return out, err
	}
	e.track.step("waiting beside the streams of the " + s.name)
	if err := e.wait(ctx, e.cfg.IdleSettle); err != nil {
		return out, err
	}
	after, err := residentMemory(s.pid)
	if err != nil {
		return out, err
	}
	if s.pid != 0 {
		n := len(l.streams)
		out.Memory = &Memory{Before: before, After: after, Streams: n, Each: float64(after-before) / float64(n), Whole: float64(after) / float64(n)}
	}
	return out, l.listen(ctx, &out)
}

// open opens all streams at a moderate rate, two a slot.
func (l *idleLoad) open(ctx context.Context, slots []slot) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		src     = newSources(l.s.addr, len(l.streams))
		begin   = time.Now()
		next    atomic.Int64
		openers sync.WaitGroup
	)
	one := func(i int) error {
		due := begin.Add(time.Duration(i) * time.Second / idleOpenRate)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(due)):
		}
		sl := slots[i%len(slots)]
		at := time.Now()
		q, err := openQuiet(ctx, l.s, src, l.s.streamRequest(sl))
		if err != nil {
			return fmt.Errorf("stream %d of %d: %w", i+1, len(l.streams), err)
		}
		took := time.Since(at)
		l.mu.Lock()
		l.hist.record(took)
		l.mu.Unlock()
		l.streams[i] = q
		l.readers.Go(func() {
			if err := q.run(&l.phase); !l.closed.Load() {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				l.log.add(fmt.Errorf("a stream ended: %w", err))
			}
		})
		return nil
	}
	for range idleOpeners {
		openers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(l.streams)); i = next.Add(1) - 1 {
				if err := one(int(i)); err != nil {
					cancel(err)
					return
				}
				l.e.track.prepared(float64(i) / float64(len(l.streams)))
			}
		})
	}
	openers.Wait()
	return context.Cause(ctx)
}

// listen measures while nothing but heartbeats happens. Every stream must hear
// all but one of those that fit into the time: the first and the last may fall
// just outside it.
func (l *idleLoad) listen(ctx context.Context, out *Sample) error {
	e := l.e
	e.track.step("listening to the streams of the " + l.s.name)
	a, b, err := e.measure(ctx, l.s, e.cfg.idleTime(), &l.phase)
	if err != nil {
		return err
	}
	d := b.at.Sub(a.at)
	least := max(1, int64(d/e.cfg.Heartbeat)-1)
	silent := 0
	for _, q := range l.streams {
		n := q.heard.Load()
		out.Heartbeats += n
		if n < least {
			silent++
		}
	}
	if silent > 0 {
		l.log.addN(int64(silent), fmt.Errorf("%d streams heard fewer than %d heartbeats in %v: want one every %v", silent, least, d.Round(time.Millisecond), e.cfg.Heartbeat))
	}
	out.Ops = int64(math.Round(float64(len(l.streams)) * d.Seconds()))
	out.account(a, b)
	out.hist = l.hist
	out.Latency = l.hist.latency()
	l.log.into(out)
	return ctx.Err()
}

// close closes all streams and waits for their readers.
func (l *idleLoad) close() {
	l.closed.Store(true)
	for _, q := range l.streams {
		if q != nil {
			q.c.close()
		}
	}
	l.readers.Wait()
}
