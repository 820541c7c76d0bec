package plot

import (
	"math"
	"slices"
)

// An axis maps values to places in a picture.
type axis struct {
	min, max float64
	log      bool
	from, to float64 // the places of min and max
	ticks    []float64
}

// spans is how many times the smallest value the largest is when an axis
// becomes logarithmic: a linear one would crush the small values.
const spans = 8

// newAxis returns an axis for values. It is logarithmic if they span enough,
// unless it has to begin at zero, as bars must.
func newAxis(values []float64, zero bool, from, to float64) *axis {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	a := &axis{from: from, to: to}
	if !zero && lo > 0 && hi/lo >= spans {
		a.log = true
		a.logTicks(lo, hi)
		return a
	}
	a.linearTicks(hi)
	return a
}

// linearTicks makes an axis from zero to a round number over hi.
func (a *axis) linearTicks(hi float64) {
	if hi <= 0 {
		hi = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(hi/4)))
	for _, f := range []float64{1, 2, 2.5, 5, 10} {
		if hi/(step*f) <= 6 {
			step *= f
			break
		}
	}
	n := int(math.Ceil(hi/step - 1e-9))
	for i := range n + 1 {
		a.ticks = append(a.ticks, float64(i)*step)
	}
	a.max = a.ticks[n]
}

// logTicks makes a logarithmic axis between round numbers under lo and over hi.
func (a *axis) logTicks(lo, hi float64) {
	below, above := 0.0, math.Inf(1)
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi)+1; e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, e)
			switch {
			case v <= lo*1.001:
				below = v
			case v >= hi*0.999:
				above = min(above, v)
			default:
				a.ticks = append(a.ticks, v)
			}
		}
	}
	a.ticks = append(append([]float64{below}, a.ticks...), above)
	a.min, a.max = below, above
	if len(a.ticks) > 8 {
		a.ticks = slices.DeleteFunc(a.ticks, func(v float64) bool {
			e := math.Log10(v)
			return math.Abs(e-math.Round(e)) > 1e-6
		})
	}
}

// place returns the place of a value. A value beyond the ends is at the end.
func (a *axis) place(v float64) float64 {
	part := (v - a.min) / (a.max - a.min)
	if a.log {
		part = math.Log(v/a.min) / math.Log(a.max/a.min)
	}
	return a.from + (a.to-a.from)*max(0, min(1, part))
}
