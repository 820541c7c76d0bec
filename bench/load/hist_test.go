package load

import (
	"math"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram()
	if got := h.Latency(); got != (Latency{}) {
		t.Fatalf("empty histogram: %+v", got)
	}
	for i := 1; i <= 1000; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	l := h.Latency()
	for name, v := range map[string][2]int64{
		"count": {l.Count, 1000}, "p50": {l.P50, 500}, "p90": {l.P90, 900},
		"p99": {l.P99, 990}, "p99.9": {l.P999, 999}, "max": {l.Max, 1000},
	} {
		if v[0] != v[1] {
			t.Errorf("%s = %d, want %d", name, v[0], v[1])
		}
	}
	// What is out of range counts at the edge, and is not lost.
	o := NewHistogram()
	o.Record(-time.Second)
	o.Record(time.Hour)
	h.Merge(o)
	if l = h.Latency(); l.Count != 1002 || math.Abs(float64(l.Max-maxLatency.Microseconds())) > 0.001*float64(maxLatency.Microseconds()) {
		t.Errorf("after a merge: %+v", l)
	}
}
