package cold

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// Rates of cold reads that are no numbers.
const (
	none      = 0
	unbounded = math.MaxFloat64
)

// pause is how long a cold reader waits after a refusal.
const pause = 100 * time.Millisecond

// A runner runs the phases after the fill. One goroutine uses it.
type runner struct {
	e     *run.Env
	s     *load.Server
	f     *filled
	posts []load.Slot // of the posters, one each
	ps    []*load.Poster
	cpu   float64 // the part of a core that the relay took in the last phase
	notes []string
}

func newRunner(ctx context.Context, e *run.Env, s *load.Server, f *filled) (*runner, error) {
	slots, err := s.AllocateN(ctx, postConns)
	if err != nil {
		return nil, err
	}
	r := &runner{e: e, s: s, f: f, posts: slots}
	for i, sl := range slots {
		r.ps = append(r.ps, load.NewPoster(e.Template, s, sl, r.firstOf(i)))
	}
	return r, nil
}

// firstOf is the number of the first event of poster i.
func (r *runner) firstOf(i int) uint64 { return r.f.next() + uint64(i)*load.NumbersPerPoster }

// How long the relay must take next to no CPU time until it has done what the fill
// left behind, and how long that may take.
const (
	settledFor   = time.Second
	settledShare = 0.05 // of a core
	settleLimit  = 2 * time.Minute
)

// settle waits until the store has put in order what was filled in.
func (r *runner) settle(ctx context.Context) error {
	r.e.Track.Step("waiting until the relay rests")
	a, err := proc.ReadUsage(r.s.PID)
	for end := time.Now().Add(settleLimit); err == nil; {
		if err = r.e.Wait(ctx, settledFor); err != nil {
			return err
		}
		b, err := proc.ReadUsage(r.s.PID)
		if err != nil {
			return err
		}
		if (b.Server - a.Server).Seconds() < settledShare*b.At.Sub(a.At).Seconds() {
			return nil
		}
		if a = b; time.Now().After(end) {
			r.notes = append(r.notes, fmt.Sprintf("the relay still worked %v after the fill", settleLimit))
			return nil
		}
	}
	return err
}

// phase reads hot slots and posts at their rates for the warm-up and the time d,
// beside cold reads of at most so many a second.
func (r *runner) phase(ctx context.Context, d time.Duration, rate float64) (out load.Sample, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hot := make([]load.Worker, hotConns)
	for i := range hot {
		hot[i] = newReader(r.f, 0, hotSlots, nil)
	}
	var (
		phase atomic.Int32
		a, b  proc.Usage
		cold  = startCold(ctx, r.f, r.coldConns(rate), rate, &phase)
	)
	reads, err := r.e.StartDue(ctx, "a hot read", hot, r.e.Config.ColdHotRate, d)
	if err == nil {
		var posts *load.DueLoad
		posts, err = r.e.StartPosts(ctx, r.ps, r.e.Config.ColdPostRate, d)
		if err == nil {
			a, b, err = r.e.Measure(ctx, r.s, d, &phase)
		}
		if err != nil {
			cancel()
		}
		posts.End()
		var s load.Sample
		posts.Into(&s)
		out = s
	} else {
		cancel()
	}
	reads.End()
	coldHist, windows := cold.end(&out)
	if err != nil {
		return out, err
	}
	var s load.Sample
	reads.Into(&s)
	out.PartHists = map[string]load.Histogram{"hot": s.Hist, "post": out.Hist}
	out.Latency, out.Hist = s.Latency, s.Hist
	out.Lag, out.Late = worse(out.Lag, s.Lag), worse(out.Late, s.Late)
	out.Ops += s.Ops + windows
	out.Unsent += s.Unsent
	if out.Errors += s.Errors; out.FirstError == "" {
		out.FirstError = s.FirstError
	}
	out.Account(a, b)
	if n := out.Unsent; n > 0 {
		out.Errors += n
		if out.FirstError == "" {
			out.FirstError = fmt.Sprintf("%d requests were due and could not be sent", n)
		}
	}
	r.cpu = (b.Server - a.Server).Seconds() / b.At.Sub(a.At).Seconds()
	out.Cold = &load.Cold{Windows: float64(windows) / out.Seconds, Refused: cold.refused.Load()}
	if rate != none {
		out.PartHists["cold"] = coldHist
	}
	return out, ctx.Err()
}

func worse(a, b *load.Latency) *load.Latency {
	if a.P99 > b.P99 {
		return a
	}
	return b
}

func (r *runner) coldConns(rate float64) int {
	if rate == none {
		return 0
	}
	return r.e.Config.ConnsOr(coldConns)[0]
}

// A coldLoad is connections that read cold slots: each sends the next request when
// the last one was answered, but all together send no more than a rate.
type coldLoad struct {
	ws      []*reader
	tallies []load.Tally
	refused atomic.Int64
	ended   chan struct{} // closed by end
	workers sync.WaitGroup
	log     load.ErrorLog

	mu   sync.Mutex // guards next
	next time.Time  // before which no request may be sent
}

// startCold starts n readers. end must be called.
func startCold(ctx context.Context, f *filled, n int, rate float64, phase *atomic.Int32) *coldLoad {
	l := &coldLoad{tallies: make([]load.Tally, n), ended: make(chan struct{})}
	for range n {
		l.ws = append(l.ws, newReader(f, hotSlots, len(f.slots), &l.refused))
	}
	for i, w := range l.ws {
		t := &l.tallies[i]
		t.Hist = load.NewHistogram()
		l.workers.Go(func() { l.loop(ctx, w, time.Duration(float64(time.Second)/rate), phase, t) })
	}
	return l
}

// turn waits until a request may be sent. It returns false when the load has ended.
// Requests that could not be sent in time are not made up for.
func (l *coldLoad) turn(ctx context.Context, every time.Duration) bool {
	l.mu.Lock()
	now := time.Now()
	at := l.next
	if at.Before(now) {
		at = now
	}
	l.next = at.Add(every)
	l.mu.Unlock()
	return l.rest(ctx, at.Sub(now))
}

// rest waits for d. It returns false when the load has ended.
func (l *coldLoad) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-l.ended:
		return false
	case <-t.C:
		return true
	}
}

func (l *coldLoad) loop(ctx context.Context, w *reader, every time.Duration, phase *atomic.Int32, t *load.Tally) {
	defer w.Close()
	for errs := 0; errs < load.MaxWorkerErrors && l.turn(ctx, every); {
		begin := time.Now()
		err := w.Do(ctx)
		switch {
		case err != nil:
			l.log.Add(fmt.Errorf("a cold read: %w", err))
			errs++
		case w.turned:
			if !l.rest(ctx, pause) {
				return
			}
		case phase.Load() == load.Measuring:
			t.Ops++
			t.Hist.Record(time.Since(begin))
		}
	}
}

// end ends the load, and returns the latencies of its pages and how many there were
// in the measured time. It adds the errors to a sample.
func (l *coldLoad) end(out *load.Sample) (load.Histogram, int64) {
	close(l.ended)
	load.AwaitWorkers(&l.workers, &l.log, func() {
		for _, w := range l.ws {
			w.Interrupt()
		}
	})
	l.log.Into(out)
	all, n := load.NewHistogram(), int64(0)
	for i := range l.tallies {
		all.Merge(l.tallies[i].Hist)
		n += l.tallies[i].Ops
	}
	return all, n
}

// checkPosted reads all that the posters posted. Their slots must hold that and
// nothing else.
func (r *runner) checkPosted(ctx context.Context) error {
	c, err := wire.Dial(ctx, r.s.Addr, wire.SmallBuffer)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	var buf, since, want []byte
	for i, sl := range r.posts {
		first, end := r.firstOf(i), r.ps[i].Next
		if most := first + uint64(load.SlotEvents(r.f.t.Size())); end > most {
			end = most // the poster went on with another slot
		}
		since = since[:0]
		for n := first; ; {
			_ = c.TCP.SetDeadline(time.Now().Add(wire.AnswerGrace))
			req, _ := r.s.PullRequest(sl, since, 1000)
			if buf, err = c.Pulled(buf, req); err != nil {
				return fmt.Errorf("slot %d of the posters: %w", i, err)
			}
			k := min(1000, end-n)
			want = append(want[:0], '[')
			for j := range k {
				if j > 0 {
					want = append(want, ',')
				}
				want = r.f.t.AppendEvent(want, n+j)
			}
			if err := same(buf, append(want, ']'), i, int(n-first)-1, int(k)); err != nil {
				return fmt.Errorf("what was posted: %w", err)
			}
			if n += k; k == 0 {
				break
			}
			since = r.f.t.AppendID(since[:0], n-1)
		}
	}
	return nil
}
