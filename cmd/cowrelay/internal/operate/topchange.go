package operate

import "math"

// change is what happened between two readings of one process. Counters only ever
// grow, so a rate needs two of them.
type change struct{ from, to *reading }

// since returns the change from an earlier reading. If there is none, or the relay
// is another process by now, the change is from r to itself: nothing is known.
func (r *reading) since(old *reading) change {
	const start = "process_start_time_seconds"
	if old == nil || old.value(start) != r.value(start) {
		old = r
	}
	return change{old, r}
}

func (c change) known() bool { return c.from != c.to }

func (c change) seconds() float64 { return c.to.at.Sub(c.from.at).Seconds() }

// rate is by how much a second a counter grew, NaN if that is not known.
func (c change) rate(family string, labels ...label) float64 {
	if !c.known() {
		return math.NaN()
	}
	return max(c.to.value(family, labels...)-c.from.value(family, labels...), 0) / c.seconds()
}

func (c change) histogram(family string, labels ...label) buckets {
	return c.to.histogram(family, labels...).minus(c.from.histogram(family, labels...))
}
