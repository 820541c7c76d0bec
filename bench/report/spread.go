package report

import "slices"

// A Spread is the median of some values, with the smallest and the largest.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf returns the spread of v, or the zero Spread for none.
func SpreadOf(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	s := slices.Clone(v)
	slices.Sort(s)
	mid := s[len(s)/2]
	if len(s)%2 == 0 {
		mid = (s[len(s)/2-1] + mid) / 2
	}
	return Spread{Median: mid, Min: s[0], Max: s[len(s)-1]}
}

// Ratios pairs a and b round by round and returns the spread of a/b. It returns
// nil if no round has both.
//
// It does not divide the medians. The two rounds of a pair ran one after the
// other, so what the machine did at that time is in both, and their ratio is
// free of it.
func Ratios(a, b []float64) *Spread {
	var r []float64
	for i := range min(len(a), len(b)) {
		if a[i] > 0 && b[i] > 0 {
			r = append(r, a[i]/b[i])
		}
	}
	if len(r) == 0 {
		return nil
	}
	s := SpreadOf(r)
	return &s
}
