package report

import "cowrelay/bench/load"

// Metrics of scenarios that are neither about throughput nor about one latency.
var (
	MemoryEach = Metric{"bytes_per_stream", func(s *load.Sample) float64 {
		if s.Memory == nil {
			return 0
		}
		return s.Memory.Each
	}}
	BytesRead     = Metric{"read_bytes", func(s *load.Sample) float64 { return float64(s.Read) }}
	PartLatencies = Metric{"latencies", func(s *load.Sample) float64 { return float64(s.Latency.P99) }}
)

// A Metric is a figure by which rounds are compared.
type Metric struct {
	Name string
	Of   func(*load.Sample) float64
}

var (
	Throughput = Metric{"per_second", func(s *load.Sample) float64 { return s.PerSec }}
	TailP99    = Metric{"p99", func(s *load.Sample) float64 { return float64(s.Latency.P99) }}
	MedianP50  = Metric{"p50", func(s *load.Sample) float64 { return float64(s.Latency.P50) }}
	Worst      = Metric{"max", func(s *load.Sample) float64 { return float64(s.Latency.Max) }}
	cpuPerOp   = Metric{"cpu", func(s *load.Sample) float64 { return s.ServerCPU }}
)

// Each returns the figure of each round.
func (m Metric) Each(ss []load.Sample) []float64 {
	out := make([]float64, len(ss))
	for i := range ss {
		out[i] = m.Of(&ss[i])
	}
	return out
}

// medianOf returns the median of one figure over the rounds.
func medianOf(ss []load.Sample, of func(*load.Sample) float64) float64 {
	return SpreadOf(Metric{Of: of}.Each(ss)).Median
}
