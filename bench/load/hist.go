package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxLatency is the longest latency. A longer one counts as this.
const maxLatency = time.Minute

// A Histogram records latencies from 1 µs to a minute with three digits. One
// goroutine at a time may use it.
type Histogram struct{ h *hdrhistogram.Histogram }

func NewHistogram() Histogram {
	return Histogram{hdrhistogram.New(1, maxLatency.Microseconds(), 3)}
}

func (h Histogram) Record(d time.Duration) {
	us := min(max(d.Microseconds(), 1), maxLatency.Microseconds())
	// It fails for values out of range only.
	_ = h.h.RecordValue(us)
}

func (h Histogram) Merge(o Histogram) { h.h.Merge(o.h) }

// A Latency is a summary of latencies in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   int64   `json:"p50_us"`
	P90   int64   `json:"p90_us"`
	P99   int64   `json:"p99_us"`
	P999  int64   `json:"p999_us"`
	Max   int64   `json:"max_us"`
}

func (h Histogram) Latency() Latency {
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

// Encode returns h in a form that DecodeHistogram reads, in another process.
func (h Histogram) Encode() ([]byte, error) {
	return h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// DecodeHistogram reads what Encode returned.
func DecodeHistogram(b []byte) (Histogram, error) {
	h, err := hdrhistogram.Decode(b)
	return Histogram{h}, err
}

// LatenciesOf summarizes histograms. It returns nil for none.
func LatenciesOf(hs map[string]Histogram) map[string]Latency {
	if len(hs) == 0 {
		return nil
	}
	out := map[string]Latency{}
	for name, h := range hs {
		out[name] = h.Latency()
	}
	return out
}

// String is p50, p99, p99.9 and the largest.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %s p99 %s p99.9 %s max %s", Micros(float64(l.P50)), Micros(float64(l.P99)), Micros(float64(l.P999)), Micros(float64(l.Max)))
}
