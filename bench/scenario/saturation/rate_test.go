package saturation

import (
	"errors"
	"math"
	"testing"
)

func TestSearchRate(t *testing.T) {
	f := func(name string, quiet, full, most float64, idle func(rate float64) float64, want float64, probes int) {
		t.Helper()
		n := 0
		rate, err := searchRate(quiet, full, most, func(rate float64) (float64, error) {
			n++
			return idle(rate), nil
		})
		if err != nil || math.Abs(rate-want) > want*0.08 || n > probes {
			t.Errorf("%s: rate %.1f after %d probes, %v; want %.1f after at most %d", name, rate, n, err, want, probes)
		}
	}
	f("straight", 0.9, 0, 900, func(r float64) float64 { return 0.9 - r/1000 }, 600, 1)
	// A pull costs less if there are many. Then the straight line is far off.
	curved := func(r float64) float64 { return 0.9 * (1 - math.Pow(r/900, 0.5)) }
	f("curved", 0.9, 0, 900, curved, 400, 8)
	f("busy without pullers", 0.2, 0, 900, nil, 1, 0)
	f("pullers that never rest leave more", 0.9, 0.5, 900, nil, 900, 0)
	// A machine that is busy with something else now and then: no probe is
	// within the span, and the nearest one is taken.
	step := func(r float64) float64 {
		if r < 500 {
			return 0.5
		}
		return 0.25
	}
	n := 0
	rate, err := searchRate(0.9, 0, 900, func(r float64) (float64, error) { n++; return step(r), nil })
	if err != nil || rate < 500 || n != probesMost {
		t.Errorf("a step: rate %.1f after %d probes, %v", rate, n, err)
	}
	broken := errors.New("broken")
	if _, err := searchRate(0.9, 0, 900, func(float64) (float64, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the probe", err)
	}
}
