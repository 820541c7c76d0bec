package fasthttp

import (
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"
)

// histogram counts durations in le buckets with one atomic add. The metrics
// library's own takes a mutex at each update, and nothing on a request's path
// waits for a lock.
type histogram struct {
	bounds []time.Duration // upper bounds, ascending
	counts []atomic.Uint64 // one more, for what is above the last
	sum    atomic.Int64    // nanoseconds
}

var (
	requestBounds = []time.Duration{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
		5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
	lagBounds = []time.Duration{
		50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond,
		2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
	}
)

func newHistogram(bounds []time.Duration) *histogram {
	return &histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// observe counts a duration in nanoseconds.
func (h *histogram) observe(ns int64) {
	i := 0
	for i < len(h.bounds) && ns > int64(h.bounds[i]) {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(ns)
}

// write prints the series of a histogram; labels is empty or `name="value"`.
func (h *histogram) write(w io.Writer, name, labels string) {
	h.print(w, name, labels, time.Second)
}

// writeCounts prints a histogram of plain numbers.
func (h *histogram) writeCounts(w io.Writer, name string) { h.print(w, name, "", 1) }

func (h *histogram) print(w io.Writer, name, labels string, unit time.Duration) {
	number := func(d time.Duration) string {
		return strconv.FormatFloat(float64(d)/float64(unit), 'g', -1, 64)
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
