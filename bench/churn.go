package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// churnOpen is how many streams of churn are open at once, at most.
	churnOpen = 128
	// closedGrace is how long after the last close a relay may count streams.
	closedGrace = time.Second
	// spareGoroutines is how many more goroutines than before the relay may have
	// in the end.
	spareGoroutines = 64
)

// The relay's goroutines are counted soonAfter the last close, and must be back
// within goroutineGrace of it. An HTTP server keeps those of its busiest moment
// for a while; what a stream leaves behind stays. Variables for the tests.
var (
	soonAfter      = 2 * time.Second
	goroutineGrace = 30 * time.Second
)

func churnScenarios(cfg *Config) []scenario {
	return []scenario{{
		name:    "churn",
		variant: fmt.Sprintf("%s streams of a silent slot, %d at once", count(float64(cfg.ChurnStreams)), churnOpen),
		unit:    "opens", files: churnOpen,
		// The streams of all rounds may be in TIME_WAIT together.
		ports: cfg.Rounds * cfg.ChurnStreams,
		bound: BoundConfig{Mode: boundChurn, EventBytes: minEventBytes},
		open:  openChurn,
	}}
}

// churnRunner opens and closes a number of streams of one slot. A round takes
// as long as that takes, and then waits until the relay has forgotten them.
type churnRunner struct {
	e    *env
	s    *side
	from *sources
	req  []byte

	memory     int64 // before the first stream
	goroutines int   // likewise
	rounds     int   // how many are done
}

func openChurn(ctx context.Context, e *env, s *side) (runner, error) {
	sl, err := s.allocateN(ctx, 1)
	if err != nil {
		return nil, err
	}
	r := &churnRunner{e: e, s: s, from: newSources(s.addr, e.cfg.Rounds*e.cfg.ChurnStreams)}
	r.req = s.streamRequest(sl[0])
	if r.memory, err = residentMemory(s.pid); err != nil {
		return nil, err
	}
	if s.admin != "" {
		r.goroutines, err = s.goroutines(ctx)
	}
	return r, err
}

func (r *churnRunner) round(ctx context.Context) (Sample, error) {
	var log errorLog
	out, err := r.churn(ctx, &log)
	if err != nil {
		return out, err
	}
	if !r.s.bound() {
		if err := r.awaitClosed(ctx, &out, &log); err != nil {
			return out, err
		}
	}
	if r.rounds++; r.s.admin != "" && r.rounds == r.e.cfg.Rounds {
		if err := r.awaitGoroutines(ctx, &out, &log); err != nil {
			return out, err
		}
	}
	if r.s.pid != 0 {
		out.Memory = &Memory{Before: r.memory}
		if out.Memory.After, err = residentMemory(r.s.pid); err != nil {
			return out, err
		}
	}
	log.into(&out)
	r.e.track.add(r.e.cfg.Warmup + r.e.cfg.Duration) // what a round counts for
	return out, ctx.Err()
}

// churn opens and closes all streams of a round. The time of each is from the
// start of its connect to its first comment.
func (r *churnRunner) churn(ctx context.Context, log *errorLog) (out Sample, err error) {
	var (
		taken atomic.Int64
		wg    sync.WaitGroup
		mu    sync.Mutex
	)
	out.hist = newHistogram()
	total := int64(r.e.cfg.ChurnStreams)
	a, err := readUsage(r.s.pid)
	if err != nil {
		return out, err
	}
	// A profile covers a set time: then the streams go on until it is over.
	until := a.at
	if r.e.profile != nil {
		until = until.Add(r.e.cfg.Duration)
	}
	profiled := r.e.profile.begin(ctx, r.s, r.e.cfg.Duration)
	for range churnOpen {
		wg.Go(func() {
			errs := 0
			for (taken.Add(1) <= total || time.Now().Before(until)) && ctx.Err() == nil && errs < maxWorkerErrors {
				at := time.Now()
				q, err := openQuiet(ctx, r.s, r.from, r.req)
				if err != nil {
					log.add(err)
					errs++
					continue
				}
				took := time.Since(at)
				q.c.close()
				mu.Lock()
				out.Ops++
				out.hist.record(took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	b, err := readUsage(r.s.pid)
	out.account(a, b)
	out.Latency = out.hist.latency()
	return out, errors.Join(err, profiled())
}

// awaitClosed waits until the relay counts no stream any more.
func (r *churnRunner) awaitClosed(ctx context.Context, out *Sample, log *errorLog) error {
	at := time.Now()
	for {
		b, err := ask(ctx, r.s.addr, r.s.prefix+"/stats.json")
		if err != nil {
			return fmt.Errorf("cannot read the relay's statistics: %w", err)
		}
		var stats struct {
			Streams *int64 `json:"streams_active"`
		}
		if err := json.Unmarshal(b, &stats); err != nil || stats.Streams == nil {
			return fmt.Errorf("the relay's statistics have no streams_active: %.200q", b)
		}
		took := time.Since(at)
		if *stats.Streams == 0 {
			ms := float64(took.Microseconds()) / 1000
			out.AllClosed = &ms
			if took > closedGrace {
				log.add(fmt.Errorf("streams_active was 0 only %v after the last close, want %v", took.Round(time.Millisecond), closedGrace))
			}
			return nil
		}
		if took > answerGrace {
			log.add(fmt.Errorf("streams_active is %d, %v after the last close", *stats.Streams, took.Round(time.Millisecond)))
			return nil
		}
		if err := r.e.wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitGoroutines waits, after the last round, until the relay has few more
// goroutines than before the first one.
func (r *churnRunner) awaitGoroutines(ctx context.Context, out *Sample, log *errorLog) error {
	r.e.track.step("waiting until the relay has its goroutines back")
	begin := time.Now()
	if err := r.e.wait(ctx, soonAfter); err != nil {
		return err
	}
	soon, err := r.s.goroutines(ctx)
	for n := soon; err == nil; n, err = r.s.goroutines(ctx) {
		took := time.Since(begin)
		out.Goroutines = &Goroutines{Before: r.goroutines, Soon: soon, After: n, Seconds: took.Seconds()}
		if n <= r.goroutines+spareGoroutines {
			return nil
		}
		if took > goroutineGrace {
			log.add(fmt.Errorf("the relay has %d goroutines %v after the last close, and had %d before the first open", n, took.Round(time.Second), r.goroutines))
			return nil
		}
		if err := r.e.wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return err
}
