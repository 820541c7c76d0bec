package saturation

import (
	"context"
	"math"
	"time"
)

const (
	// probe is the measured time of a step of the search for the rate.
	probe = 2 * time.Second
	// probesMost is the number of its steps.
	probesMost = 8
	// idleSpan is how far from idleGoal a rate may be.
	idleSpan = 0.02
)

// findRate returns the pulls a second that leave idleGoal of the machine idle
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

// searchRate halves the rates between 0, which leave the share quiet of the
// machine idle, and most, which leave full of it, until idleAt is near
// idleGoal. It returns the rate that came nearest.
func searchRate(quiet, full, most float64, idleAt func(rate float64) (float64, error)) (float64, error) {
	switch {
	case quiet <= idleGoal:
		return 1, nil // the machine is busy without pullers
	case full >= idleGoal:
		// More than pullers that never rest can get is no rate to pace them at.
		return max(1, most), nil
	}
	// The first step goes to where a straight line between the two ends has it:
	// often that is all.
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
