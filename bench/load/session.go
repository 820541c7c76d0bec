package load

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// A Session is what the loads of one scenario share.
type Session struct {
	Template *wire.Template // of the events
	Track    *Track         // nil shows nothing
	// Warmup is the time before the measured one in each round, and Duration is
	// the measured time.
	Warmup, Duration time.Duration
	Profile          ProfileTaker // nil takes none
}

// A ProfileTaker takes profiles of a relay while a round is measured.
type ProfileTaker interface {
	// Begin begins to take profiles from the admin listener, for the measured
	// time d that begins now. end waits until they are there; the load goes on
	// meanwhile.
	Begin(ctx context.Context, admin string, d time.Duration) (end func() error)
}

// TakeProfiles takes profiles of s, if the session takes any.
func (e *Session) TakeProfiles(ctx context.Context, s *Server, d time.Duration) (end func() error) {
	if e.Profile == nil || s.Admin == "" {
		return func() error { return nil }
	}
	return e.Profile.Begin(ctx, s.Admin, d)
}

// Wait waits for d, or until ctx ends, and shows progress.
func (e *Session) Wait(ctx context.Context, d time.Duration) error {
	end := time.Now().Add(d)
	for {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		step := min(left, 200*time.Millisecond)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
			e.Track.Add(step)
		}
	}
}

// Measure lets the warm-up pass and then the measured time d, and reads the
// clocks at both ends of that.
func (e *Session) Measure(ctx context.Context, s *Server, d time.Duration, phase *atomic.Int32) (a, b proc.Usage, err error) {
	if err = e.Wait(ctx, e.Warmup); err != nil {
		return a, b, err
	}
	if a, err = proc.ReadUsage(s.PID); err != nil {
		return a, b, err
	}
	profiled := e.TakeProfiles(ctx, s, d)
	phase.Store(Measuring)
	if err = e.Wait(ctx, d); err != nil {
		return a, b, errors.Join(err, profiled())
	}
	phase.Store(draining)
	b, err = proc.ReadUsage(s.PID)
	return a, b, errors.Join(err, profiled())
}
