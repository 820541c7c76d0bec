package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxLatency is the largest latency that is told apart; longer ones count as
// this.
const maxLatency = time.Minute

// A histogram records latencies from 1 µs to a minute with three digits. It
// belongs to one goroutine.
type histogram struct{ h *hdrhistogram.Histogram }

func newHistogram() histogram {
	return histogram{hdrhistogram.New(1, maxLatency.Microseconds(), 3)}
}

func (h histogram) record(d time.Duration) {
	us := min(max(d.Microseconds(), 1), maxLatency.Microseconds())
	// Can't fail: the value is within the range.
	_ = h.h.RecordValue(us)
}

func (h histogram) merge(o histogram) { h.h.Merge(o.h) }

// Latency is a summary in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   int64   `json:"p50_us"`
	P90   int64   `json:"p90_us"`
	P99   int64   `json:"p99_us"`
	P999  int64   `json:"p999_us"`
	Max   int64   `json:"max_us"`
}

func (h histogram) latency() Latency {
	if h.h.TotalCount() == 0 {
		return Latency{}
	}
	return Latency{
		Count: h.h.TotalCount(),
		Mean:  h.h.Mean(),
		P50:   h.h.ValueAtPercentile(50),
		P90:   h.h.ValueAtPercentile(90),
		P99:   h.h.ValueAtPercentile(99),
		P999:  h.h.ValueAtPercentile(99.9),
		Max:   h.h.Max(),
	}
}
