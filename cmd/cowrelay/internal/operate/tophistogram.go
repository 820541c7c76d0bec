package operate

import (
	"math"
	"sort"
)

// buckets is a histogram: how many were at most as large as each bound.
type buckets struct {
	bounds []float64
	counts []float64
	n, sum float64
}

func (r *reading) histogram(family string, labels ...label) (b buckets) {
	for _, m := range r.families[family].GetMetric() {
		if !countsAll(labels, m) {
			continue
		}
		h := m.GetHistogram()
		b.n += float64(h.GetSampleCount())
		b.sum += h.GetSampleSum()
		if b.counts == nil {
			b.bounds, b.counts = make([]float64, len(h.GetBucket())), make([]float64, len(h.GetBucket()))
		}
		for i, k := range h.GetBucket() {
			b.bounds[i] = k.GetUpperBound()
			b.counts[i] += float64(k.GetCumulativeCount())
		}
	}
	return b
}

// minus is what was added to a histogram since it was o. Both have the same bounds.
func (b buckets) minus(o buckets) buckets {
	if len(b.counts) != len(o.counts) {
		return buckets{}
	}
	d := buckets{b.bounds, make([]float64, len(b.counts)), b.n - o.n, b.sum - o.sum}
	for i := range d.counts {
		d.counts[i] = b.counts[i] - o.counts[i]
	}
	return d
}

// quantile estimates as Prometheus' histogram_quantile does: evenly within a
// bucket. It is NaN for an empty histogram, and the largest bound for a quantile
// beyond it.
func (b buckets) quantile(q float64) float64 {
	if b.n <= 0 || len(b.counts) == 0 {
		return math.NaN()
	}
	rank := q * b.n
	i := sort.Search(len(b.counts), func(i int) bool { return b.counts[i] >= rank })
	below, from := 0.0, 0.0
	if i > 0 {
		below, from = b.counts[i-1], b.bounds[i-1]
	}
	if i == len(b.counts) || math.IsInf(b.bounds[i], 1) {
		return from
	}
	return from + (b.bounds[i]-from)*(rank-below)/(b.counts[i]-below)
}
