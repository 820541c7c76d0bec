package scenario

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// How streams are opened: so many a second, by so many goroutines.
const (
	idleOpenRate = 2500
	idleOpeners  = 16
)

// idleTime is the measured time: at least two and a half heartbeats, so that
// every stream hears two.
func idleTime(c *run.Config) time.Duration { return max(c.Duration, c.Heartbeat*5/2) }

// idleSlots is how many slots the streams are of.
func idleSlots(c *run.Config) int { return max(1, c.IdleStreams/2) }

// Idle holds thousands of streams that hear nothing but heartbeats, two for
// each slot. It reads the server's memory for a stream a minute after the last
// one was opened, and then its CPU time while only heartbeats come. The bound
// has a goroutine with a small stack for each socket and one ticker: what
// streams cost a plain Go server.
func Idle(cfg *run.Config) []run.Variant {
	return []run.Variant{{
		Scenario: "idle",
		Text:     fmt.Sprintf("%s streams over %s slots, %v after the last open", load.Thousands(float64(cfg.IdleStreams)), load.Thousands(float64(idleSlots(cfg))), cfg.IdleSettle),
		Unit:     "stream-seconds", Files: cfg.IdleStreams,
		Bound: bound.Config{Mode: bound.Idle, EventBytes: wire.MinEventBytes, Heartbeat: cfg.Heartbeat},
		Drive: driveIdle,
	}}
}

// driveIdle runs one round on each side, one after the other. A second round
// would find the memory that the first one left.
func driveIdle(ctx context.Context, e *run.Env, relay, bound *load.Server) ([]report.Result, error) {
	if d := idleTime(e.Config); e.Profile != nil && d != e.Config.Duration {
		return nil, fmt.Errorf("a profile of idle needs a duration of %v at least, in which every stream hears two heartbeats", d)
	}
	var samples [2][]load.Sample
	each := e.Config.IdleSettle + e.Config.Warmup + idleTime(e.Config)
	n := 1
	if bound != nil {
		n = 2
	}
	e.Track.Begin(time.Duration(n) * each)
	for i, s := range []*load.Server{relay, bound}[:n] {
		out, err := idleRound(ctx, e, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		samples[i] = append(samples[i], out)
	}
	r := report.Compare(e.Variant.Subject(), samples[0], samples[1], report.MemoryEach)
	return []report.Result{r}, nil
}

// An idleLoad is the streams of one side.
type idleLoad struct {
	e       *run.Env
	s       *load.Server
	streams []*load.QuietStream
	readers sync.WaitGroup
	phase   atomic.Int32
	closed  atomic.Bool // we close them: their ends are no errors
	log     load.ErrorLog

	mu   sync.Mutex     // guards hist
	hist load.Histogram // from the start of the connect to the first comment
}

// idleRound opens the streams of one side, reads its memory, and listens.
func idleRound(ctx context.Context, e *run.Env, s *load.Server) (out load.Sample, err error) {
	if err := proc.CheckFiles(s.PID, e.Config.IdleStreams); err != nil {
		return out, err
	}
	e.Track.Step("making slots on the " + s.Name)
	slots, err := s.AllocateN(ctx, idleSlots(e.Config))
	if err != nil {
		return out, err
	}
	before, err := proc.Memory(s.PID)
	if err != nil {
		return out, err
	}
	l := &idleLoad{e: e, s: s, hist: load.NewHistogram(), streams: make([]*load.QuietStream, e.Config.IdleStreams)}
	defer l.close()
	e.Track.Step("opening streams on the " + s.Name)
	if err := l.open(ctx, slots); err != nil {
		return out, err
	}
	e.Track.Step("waiting beside the streams of the " + s.Name)
	if err := e.Wait(ctx, e.Config.IdleSettle); err != nil {
		return out, err
	}
	after, err := proc.Memory(s.PID)
	if err != nil {
		return out, err
	}
	if s.PID != 0 {
		n := len(l.streams)
		out.Memory = &load.Memory{Before: before, After: after, Streams: n, Each: float64(after-before) / float64(n), Whole: float64(after) / float64(n)}
	}
	return out, l.listen(ctx, idleTime(e.Config), &out)
}

// open opens all streams at a moderate rate, two for each slot.
func (l *idleLoad) open(ctx context.Context, slots []load.Slot) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		src     = wire.NewSources(l.s.Addr, len(l.streams))
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
		began := time.Now()
		q, err := load.OpenQuiet(ctx, l.s, src, l.s.StreamRequest(sl))
		if err != nil {
			return fmt.Errorf("stream %d of %d: %w", i+1, len(l.streams), err)
		}
		took := time.Since(began)
		l.mu.Lock()
		l.hist.Record(took)
		l.mu.Unlock()
		l.streams[i] = q
		l.readers.Go(func() {
			if err := q.Run(&l.phase); !l.closed.Load() {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				l.log.Add(fmt.Errorf("a stream ended: %w", err))
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
				l.e.Track.Prepared(float64(i) / float64(len(l.streams)))
			}
		})
	}
	openers.Wait()
	return context.Cause(ctx)
}

// listen measures while nothing but heartbeats happens. Every stream must hear
// all heartbeats that fit into the time but one: the first and the last may
// fall just outside it.
func (l *idleLoad) listen(ctx context.Context, d time.Duration, out *load.Sample) error {
	e := l.e
	e.Track.Step("listening to the streams of the " + l.s.Name)
	a, b, err := e.Measure(ctx, l.s, d, &l.phase)
	if err != nil {
		return err
	}
	d = b.At.Sub(a.At)
	l.checkHeard(d, out)
	out.Ops = int64(math.Round(float64(len(l.streams)) * d.Seconds()))
	out.Account(a, b)
	out.Hist = l.hist
	out.Latency = l.hist.Latency()
	l.log.Into(out)
	return ctx.Err()
}

// checkHeard checks how many heartbeats the streams heard in the measured time d.
func (l *idleLoad) checkHeard(d time.Duration, out *load.Sample) {
	e := l.e
	least := max(1, int64(d/e.Config.Heartbeat)-1)
	silent := 0
	for _, q := range l.streams {
		n := q.Heard.Load()
		out.Heartbeats += n
		if n < least {
			silent++
		}
	}
	if silent > 0 {
		l.log.AddN(int64(silent), fmt.Errorf("%d streams heard fewer than %d heartbeats in %v: want one every %v", silent, least, d.Round(time.Millisecond), e.Config.Heartbeat))
	}
}

// close closes all streams and waits for their readers.
func (l *idleLoad) close() {
	l.closed.Store(true)
	for _, q := range l.streams {
		if q != nil {
			q.C.Close()
		}
	}
	l.readers.Wait()
}
