package honest

import (
	"sync"

	"cowrelay/bench/load"
)

// Counts are what is counted in a phase. Safe for several goroutines.
type Counts struct {
	mu     sync.Mutex // guards the fields below
	kinds  [opKinds]load.Histogram
	errors int64
	first  []string // the texts of the first few
}

// A Latency is a summary of latencies in microseconds.
type Latency struct {
	Count int64 `json:"count"`
	P50   int64 `json:"p50_us"`
	P99   int64 `json:"p99_us"`
	Max   int64 `json:"max_us"`
}

func latencyOf(h load.Histogram) Latency {
	l := h.Latency()
	return Latency{Count: l.Count, P50: l.P50, P99: l.P99, Max: l.Max}
}

// Figures are what honest clients met in a phase, in all and for each kind of
// thing that they do.
type Figures struct {
	Latency
	Errors int64              `json:"errors"`
	First  []string           `json:"first_errors,omitempty"`
	Kinds  map[string]Latency `json:"kinds"`
}

func (f *Counts) Sum() Figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := load.NewHistogram()
	out := Figures{Errors: f.errors, First: f.first, Kinds: map[string]Latency{}}
	for k, h := range f.kinds {
		all.Merge(h)
		if l := latencyOf(h); l.Count > 0 {
			out.Kinds[opNames[k]] = l
		}
	}
	out.Latency = latencyOf(all)
	return out
}

// P99 is the p99 of the kinds that count, in microseconds.
func (f *Counts) P99(counts func(kind int) bool) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := load.NewHistogram()
	for k, h := range f.kinds {
		if counts(k) {
			all.Merge(h)
		}
	}
	return latencyOf(all).P99
}
