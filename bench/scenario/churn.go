package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

const (
	// churnOpen is how many streams are open at once, at most.
	churnOpen = 128
	// closedGrace is how long after the last close a relay may still count streams.
	closedGrace = time.Second
	// spareGoroutines is how many goroutines more than before the relay may have in
	// the end.
	spareGoroutines = 64
)

// The relay's goroutines are counted soonAfter the last close, and must be back
// within goroutineGrace. An HTTP server keeps those of its busiest moment for a
// while, but those that a stream leaves behind stay. Variables for the tests.
var (
	soonAfter      = 2 * time.Second
	goroutineGrace = 30 * time.Second
)

// Churn opens and closes streams of a silent slot, 128 at once, and looks at
// what stays of them: the relay must soon count none, and have its goroutines
// back. A relay that leaks a little with every stream passes any shorter test.
// The bound sends a stream's head and waits for the client to leave.
func Churn(cfg *run.Config) []run.Variant {
	return []run.Variant{{
		Scenario: "churn",
		Text:     fmt.Sprintf("%s streams of a silent slot, %d at once", load.Thousands(float64(cfg.ChurnStreams)), churnOpen),
		Unit:     "opens", Files: churnOpen,
		// The streams of all rounds may be in TIME_WAIT together.
		Ports: cfg.Rounds * cfg.ChurnStreams,
		Bound: bound.Config{Mode: bound.Churn, EventBytes: wire.MinEventBytes},
		Open:  openChurn,
	}}
}

// A churnRunner opens and closes streams of one slot. A round ends when all
// have been opened and closed and the relay has forgotten them.
type churnRunner struct {
	e    *run.Env
	s    *load.Server
	from *wire.Sources
	req  []byte

	memory     int64 // of the server before the first stream, in bytes
	goroutines int   // of the relay, likewise
	rounds     int   // how many are done
}

// openChurn makes the slot and reads what the server has before the first
// stream.
func openChurn(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
	sl, err := s.AllocateN(ctx, 1)
	if err != nil {
		return nil, err
	}
	r := &churnRunner{e: e, s: s, from: wire.NewSources(s.Addr, e.Config.Rounds*e.Config.ChurnStreams)}
	r.req = s.StreamRequest(sl[0])
	if r.memory, err = proc.Memory(s.PID); err != nil {
		return nil, err
	}
	if s.Admin != "" {
		r.goroutines, err = s.Goroutines(ctx)
	}
	return r, err
}

func (r *churnRunner) Round(ctx context.Context) (load.Sample, error) {
	var log load.ErrorLog
	out, err := r.churn(ctx, &log)
	if err != nil {
		return out, err
	}
	if !r.s.Bound() {
		if err := r.awaitClosed(ctx, &out, &log); err != nil {
			return out, err
		}
	}
	if r.rounds++; r.s.Admin != "" && r.rounds == r.e.Config.Rounds {
		if err := r.awaitGoroutines(ctx, &out, &log); err != nil {
			return out, err
		}
	}
	if r.s.PID != 0 {
		out.Memory = &load.Memory{Before: r.memory}
		if out.Memory.After, err = proc.Memory(r.s.PID); err != nil {
			return out, err
		}
	}
	log.Into(&out)
	r.e.Track.Add(r.e.Config.Warmup + r.e.Config.Duration) // what the run takes a round for
	return out, ctx.Err()
}

// churn opens and closes all streams of a round. The time of each is from the
// start of its connect to its first comment.
func (r *churnRunner) churn(ctx context.Context, log *load.ErrorLog) (out load.Sample, err error) {
	var (
		taken atomic.Int64
		wg    sync.WaitGroup
		mu    sync.Mutex
	)
	out.Hist = load.NewHistogram()
	total := int64(r.e.Config.ChurnStreams)
	a, err := proc.ReadUsage(r.s.PID)
	if err != nil {
		return out, err
	}
	// A profile covers a fixed time. With one, the streams go on until that is over.
	until := a.At
	if r.e.Profile != nil {
		until = until.Add(r.e.Config.Duration)
	}
	profiled := r.e.TakeProfiles(ctx, r.s, r.e.Config.Duration)
	for range churnOpen {
		wg.Go(func() {
			errs := 0
			for (taken.Add(1) <= total || time.Now().Before(until)) && ctx.Err() == nil && errs < load.MaxWorkerErrors {
				began := time.Now()
				q, err := load.OpenQuiet(ctx, r.s, r.from, r.req)
				if err != nil {
					log.Add(err)
					errs++
					continue
				}
				took := time.Since(began)
				q.C.Close()
				mu.Lock()
				out.Ops++
				out.Hist.Record(took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b, err := proc.ReadUsage(r.s.PID)
	out.Account(a, b)
	out.Latency = out.Hist.Latency()
	return out, errors.Join(err, profiled())
}

// awaitClosed waits until the relay counts no stream.
func (r *churnRunner) awaitClosed(ctx context.Context, out *load.Sample, log *load.ErrorLog) error {
	began := time.Now()
	for {
		b, err := load.Ask(ctx, r.s.Addr, r.s.Prefix+"/stats.json")
		if err != nil {
			return fmt.Errorf("cannot read the relay's statistics: %w", err)
		}
		var stats struct {
			Streams *int64 `json:"streams_active"`
		}
		if err := json.Unmarshal(b, &stats); err != nil || stats.Streams == nil {
			return fmt.Errorf("the relay's statistics have no streams_active: %.200q", b)
		}
		took := time.Since(began)
		if *stats.Streams == 0 {
			ms := float64(took.Microseconds()) / 1000
			out.AllClosed = &ms
			if took > closedGrace {
				log.Add(fmt.Errorf("streams_active was 0 only %v after the last close, want %v", took.Round(time.Millisecond), closedGrace))
			}
			return nil
		}
		if took > wire.AnswerGrace {
			log.Add(fmt.Errorf("streams_active is %d, %v after the last close", *stats.Streams, took.Round(time.Millisecond)))
			return nil
		}
		if err := r.e.Wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitGoroutines waits, after the last round, until the relay has about as
// many goroutines as before the first one.
func (r *churnRunner) awaitGoroutines(ctx context.Context, out *load.Sample, log *load.ErrorLog) error {
	r.e.Track.Step("waiting until the relay has its goroutines back")
	begin := time.Now()
	if err := r.e.Wait(ctx, soonAfter); err != nil {
		return err
	}
	soon, err := r.s.Goroutines(ctx)
	for n := soon; err == nil; n, err = r.s.Goroutines(ctx) {
		took := time.Since(begin)
		out.Goroutines = &load.Goroutines{Before: r.goroutines, Soon: soon, After: n, Seconds: took.Seconds()}
		if n <= r.goroutines+spareGoroutines {
			return nil
		}
		if took > goroutineGrace {
			log.Add(fmt.Errorf("the relay has %d goroutines %v after the last close, and had %d before the first open", n, took.Round(time.Second), r.goroutines))
			return nil
		}
		if err := r.e.Wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return err
}
