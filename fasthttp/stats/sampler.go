package stats

import (
	"context"
	"runtime/pprof"
	"time"
)

// clockSlack is how much a timer may be early.
const clockSlack = 500 * time.Millisecond

// sampler adds a row to the history whenever the wall clock comes to a multiple
// of its interval. A moment that it misses has no row.
type sampler struct {
	history *history
	every   time.Duration       // whole seconds
	row     func(ts int64) *row // makes the row of a moment, in Unix seconds
	started time.Time
	quit    chan struct{} // closed by stop
	done    chan struct{} // closed when run has ended
}

// startSampler begins to add rows. With a negative interval it adds none by
// itself, and sample still does.
func startSampler(h *history, every time.Duration, row func(ts int64) *row) *sampler {
	s := &sampler{history: h, every: every, row: row, started: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	if s.every < 0 {
		s.every = DefaultEvery
		close(s.done)
		return s
	}
	s.every = max(s.every.Truncate(time.Second), time.Second)
	go pprof.Do(context.Background(), pprof.Labels("relay", "stats"), func(context.Context) {
		defer close(s.done)
		s.run()
	})
	return s
}

func (s *sampler) run() {
	timer := time.NewTimer(s.wait())
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-timer.C:
		}
		s.sample(time.Now())
		timer.Reset(s.wait())
	}
}

// wait returns the time from now to the next row.
func (s *sampler) wait() time.Duration {
	return s.every - time.Duration(time.Now().UnixNano())%s.every
}

// stop ends the sampler and waits for a write under way. It does not wait for a
// write that hangs longer than ctx.
func (s *sampler) stop(ctx context.Context) {
	close(s.quit)
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

func (s *sampler) stopping() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// sample adds the row of this moment, if there is none.
func (s *sampler) sample(now time.Time) {
	every := int64(s.every / time.Second)
	ts := now.Add(clockSlack).Unix()
	ts -= ts % every
	if s.history.accept(ts, time.Since(s.started)) {
		s.history.add(s.row(ts))
	}
	s.history.save(s.stopping)
}
