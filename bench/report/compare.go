package report

import (
	"fmt"

	"cowrelay/bench/load"
)

// sumUp summarizes the rounds of one side.
func sumUp(ss []load.Sample) SideResult {
	r := SideResult{
		PerSec:      medianOf(ss, Throughput.Of),
		ServerCPU:   medianOf(ss, cpuPerOp.Of),
		ServerShare: medianOf(ss, func(s *load.Sample) float64 { return s.ServerShare }),
		PullsPerSec: medianOf(ss, func(s *load.Sample) float64 { return s.PullsPerSec }),
		Idle:        medianOf(ss, (*load.Sample).Idle),
		Extra:       sumExtra(ss),
		Rounds:      ss,
	}
	h := load.NewHistogram()
	for i := range ss {
		h.Merge(ss[i].Hist)
		r.Errors += ss[i].Errors
		if r.FirstError == "" {
			r.FirstError = ss[i].FirstError
		}
		if l := ss[i].Lag; l != nil && (r.Lag == nil || l.P99 > r.Lag.P99) {
			r.Lag = l // the worst round's
		}
		if l := ss[i].Late; l != nil && (r.Late == nil || l.P99 > r.Late.P99) {
			r.Late = l
		}
	}
	r.Latency = h.Latency()
	return r
}

// A Subject says which load a result is of.
type Subject struct {
	Scenario string
	Variant  string // tells it from others of the same scenario
	Unit     string // of Sample.Ops
	Point    *Point // nil: on no curve
	// Peer stands in the place of the bound, and Promises is what it promises
	// less than the relay. Both are "" if there is none.
	Peer, Promises string
	Note           string // what a reader must know
}

// Compare makes a result from the rounds of both sides. Without a bound, which
// is nil then, there is no ratio.
func Compare(sub Subject, relay, bound []load.Sample, m Metric) Result {
	r := Result{Scenario: sub.Scenario, Variant: sub.Variant, Unit: sub.Unit, Point: sub.Point, Compared: m.Name, Relay: sumUp(relay)}
	if bound != nil {
		b := sumUp(bound)
		r.Bound = &b
		r.Ratio = Ratios(m.Each(relay), m.Each(bound))
		if m.Name == Worst.Name {
			over := r.Relay.Latency.Max - b.Latency.Max
			r.OverBound = &over
		}
		r.CPURatio = Ratios(cpuPerOp.Each(relay), cpuPerOp.Each(bound))
	}
	other := "bound"
	if sub.Peer != "" {
		other = sub.Peer
		r.Peer, r.Promises = sub.Peer, sub.Promises
	}
	if sub.Note != "" {
		r.Notes = append(r.Notes, sub.Note)
	}
	r.note("relay", &r.Relay)
	if r.Bound != nil {
		r.note(other, r.Bound)
	}
	return r
}

// note adds what a reader of the figures must know about one side.
func (r *Result) note(name string, s *SideResult) {
	loaded := r.Compared == Throughput.Name || r.Compared == TailP99.Name
	if loaded && s.ServerShare > 0 && s.ServerShare < 0.5 {
		r.Notes = append(r.Notes, fmt.Sprintf("the %s had %.0f %% of the CPU used, less than the generator: its throughput hides its cost, read the CPU ratio", name, s.ServerShare*100))
	}
	// If the server's process is unknown, it counts among the others.
	if others := medianOf(s.Rounds, func(s *load.Sample) float64 { return s.Others }); others > 0.05 && s.ServerShare > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("other processes used %.0f %% of the machine beside the %s", others*100, name))
	}
	// Posts that were sent late, though the generator was not, waited for a poster.
	if late := s.Late; late != nil && s.Lag != nil && late.P99-s.Lag.P99 > s.Latency.P99/2 {
		r.Notes = append(r.Notes, fmt.Sprintf("posts to the %s waited for a free poster, p99 %s: more posters would send them when they are due", name, load.Micros(float64(late.P99))))
	}
	var unsent int64
	for i := range s.Rounds {
		unsent += s.Rounds[i].Unsent
	}
	if unsent > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d posts to the %s were due and could not be sent in time; they count with the time they had waited", unsent, name))
	}
}
