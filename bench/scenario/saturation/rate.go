package saturation

import (
	"context"
	"math"
	"time"
)

const (
	// probe is the measured time of a step of the search for the rate.
	probe = 2 * time.Second
	// probesMost is how many steps it has at most.
	probesMost = 8
	// idleSpan is how far from idleGoal a rate may be.
	idleSpan = 0.02
)

// findRate returns the requests a second that leave idleGoal of the machine idle
// beside the posts.
func (x *saturated) findRate(ctx context.Context) (float64, error) {
	quiet, err := x.round(ctx, pullNone, 0, probe)
	if err != nil {
		return 0, err
	}
	full, err := x.round(ctx, pullClosed, 0, probe)
	if err != nil {
		return 0, err
	}
	return searchRate(quiet.Idle(), full.Idle(), full.PullsPerSec, func(rate float64) (float64, error) {
		s, err := x.round(ctx, pullPaced, rate, probe)
		return s.Idle(), err
	})
}

// searchRate searches by halves between no pulls, which leave the part quiet of
// the machine idle, and most pulls a second, which leave full. It ends when
// idleAt is near idleGoal, and returns the rate that came nearest.
func searchRate(quiet, full, most float64, idleAt func(rate float64) (float64, error)) (float64, error) {
	switch {
	case quiet <= idleGoal:
		return 1, nil // the machine is busy without pullers
	case full >= idleGoal:
		// Pullers that never rest get no more than this.
		return max(1, most), nil
	}
	// The first step goes to where a straight line between the ends has it. Often
	// that is near enough.
	low, high := 0.0, most
	rate := most * (quiet - idleGoal) / (quiet - full)
	best, off := rate, math.Inf(1)
	for range probesMost {
		rate = max(1, rate)
		idle, err := idleAt(rate)
		if err != nil {
			return 0, err
		}
		if d := math.Abs(idle - idleGoal); d < off {
			best, off = rate, d
		}
		if off <= idleSpan {
			break
		}
		if idle > idleGoal {
			low = rate
		} else {
			high = rate
		}
		rate = (low + high) / 2
	}
	return best, nil
}
