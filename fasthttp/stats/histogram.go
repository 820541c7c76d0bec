package stats

import (
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"
)

// Histogram counts durations in le buckets with one atomic add. The metrics
// library's own takes a mutex at each update, and nothing on a request's path
// waits for a lock.
//
// NewHistogram makes it. It must not be copied.
type Histogram struct {
	bounds []time.Duration // upper bounds, ascending
	unit   time.Duration   // what is printed as 1: a second, or 1 for plain numbers
	counts []atomic.Uint64 // one for each bound, and one for what is above the last
	sum    atomic.Int64    // nanoseconds, or a plain sum
}

var (
	// requestBounds fit requests, commits and syncs.
	requestBounds = []time.Duration{
		10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
		5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
	// LagBounds fit the time from an event to its write on a stream, which is
	// mostly below a millisecond.
	LagBounds = []time.Duration{
		50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond,
		2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
	}
	// batchBounds are plain numbers: posts of a batch. A batch without posts makes or
	// removes slots, or notes when they were read.
	batchBounds = []time.Duration{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
)

// NewHistogram returns an empty histogram of durations, printed in seconds.
func NewHistogram(bounds []time.Duration) *Histogram { return newHistogram(bounds, time.Second) }

func newHistogram(bounds []time.Duration, unit time.Duration) *Histogram {
	return &Histogram{bounds: bounds, unit: unit, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a duration.
func (h *Histogram) Observe(took time.Duration) {
	i := 0
	for i < len(h.bounds) && took > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(took))
}

// Print prints the series of the histogram; labels is empty or `name="value"`.
func (h *Histogram) Print(w io.Writer, name, labels string) {
	number := func(d time.Duration) string {
		return strconv.FormatFloat(float64(d)/float64(h.unit), 'g', -1, 64)
	}
	sep := labels
	if sep != "" {
		sep += ","
	}
	var n uint64
	for i, b := range h.bounds {
		n += h.counts[i].Load()
		fmt.Fprintf(w, "%s_bucket{%sle=\"%s\"} %d\n", name, sep, number(b), n)
	}
	n += h.counts[len(h.bounds)].Load()
	fmt.Fprintf(w, "%s_bucket{%sle=\"+Inf\"} %d\n", name, sep, n)
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(w, "%s_sum%s %s\n", name, labels, number(time.Duration(h.sum.Load())))
	fmt.Fprintf(w, "%s_count%s %d\n", name, labels, n)
}

// load returns the counts of this moment, bucket by bucket.
func (h *Histogram) load() []uint64 { return loadAll(h.counts) }

func loadAll(list []atomic.Uint64) []uint64 {
	n := make([]uint64, len(list))
	for i := range list {
		n[i] = list[i].Load()
	}
	return n
}

// quantile estimates one in nanoseconds from what a histogram's buckets gained,
// as PromQL's histogram_quantile does: evenly within a bucket, and the last
// bound for all above it. noValue if they gained nothing.
func quantile(bounds []time.Duration, from, to []uint64, q float64) int64 {
	var n uint64
	for i := range to {
		n += to[i] - from[i]
	}
	if n == 0 {
		return noValue
	}
	rank, low := q*float64(n), 0.0
	for i, bound := range bounds {
		in, high := float64(to[i]-from[i]), float64(bound)
		if in > 0 && rank <= in {
			return int64(low + (high-low)*rank/in)
		}
		rank, low = rank-in, high
	}
	return int64(low)
}
