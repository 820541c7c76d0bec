package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// A SideResult is what the rounds of one side come to.
type SideResult struct {
	PerSec      float64  `json:"per_second"`           // median of the rounds
	ServerCPU   float64  `json:"server_cpu_us_per_op"` // median; 0: unknown
	ServerShare float64  `json:"server_cpu_share"`     // median, 0 to 1
	Latency     Latency  `json:"latency"`              // all rounds together
	Lag         *Latency `json:"generator_lag,omitempty"`
	Late        *Latency `json:"sent_late,omitempty"`
	PullsPerSec float64  `json:"pulls_per_second,omitempty"`
	Idle        float64  `json:"cpu_idle"` // of the machine; median, 0 to 1
	Errors      int64    `json:"errors"`
	FirstError  string   `json:"first_error,omitempty"`
	Extra
	Rounds []Sample `json:"rounds"`
}

// wrong counts something that was found to be wrong after the rounds.
func (s *SideResult) wrong(err error) {
	if s.Errors++; s.FirstError == "" {
		s.FirstError = err.Error()
	}
}

// A Result is one scenario.
type Result struct {
	Scenario string `json:"scenario"`
	Variant  string `json:"variant"`
	Unit     string `json:"unit"`
	// Point is where this result stands on a curve; nil where it is on none.
	Point *Point `json:"point,omitempty"`
	// Compared is what Ratio compares: "per_second", "p50", "p99", "max" or
	// "bytes_per_stream". Mix, which has no bound, has "latencies".
	Compared string      `json:"compared"`
	Relay    SideResult  `json:"relay"`
	Bound    *SideResult `json:"bound,omitempty"`
	// Ratio is relay to bound, over the pairs of rounds.
	Ratio *Spread `json:"ratio,omitempty"`
	// CPURatio is relay to bound in server CPU-microseconds an op.
	CPURatio *Spread `json:"cpu_ratio,omitempty"`
	// VsQuiet is, in saturation, the p99 to that of the same side without
	// pullers.
	VsQuiet *Spread `json:"vs_quiet,omitempty"`
	// BoundVsQuiet is the same for the bound.
	BoundVsQuiet *Spread `json:"bound_vs_quiet,omitempty"`
	// VsFirst is, on a curve, what is compared to that at its first point, over
	// the rounds.
	VsFirst *Spread `json:"vs_first,omitempty"`
	// OverBound is, where the worst counts, how much longer it took than the
	// bound's, in microseconds.
	OverBound *int64 `json:"over_bound_us,omitempty"`
	// BytesEach is the relay's resident memory for each of what Point counts.
	BytesEach float64 `json:"bytes_each,omitempty"`
	// BytesEachMore is that for each beyond the last point of the curve: without
	// what is there once, however many there are.
	BytesEachMore float64  `json:"bytes_each_more,omitempty"`
	Notes         []string `json:"notes,omitempty"`
	// Peer names the server that stands in the place of the bound, and Promises
	// is what it promises less than the relay. Skipped says why it did not run.
	Peer     string  `json:"peer,omitempty"`
	Promises string  `json:"promises,omitempty"`
	Skipped  string  `json:"skipped,omitempty"`
	Machine  Machine `json:"machine"`
}

// A Point is a place on a curve: of a scenario, what is drawn (Curve) over what
// (Axis).
type Point struct {
	Curve string  `json:"curve"`
	Axis  string  `json:"axis"`
	X     float64 `json:"x"`
}

// Errors counts what came back wrong on either side.
func (r *Result) Errors() int64 {
	n := r.Relay.Errors
	if r.Bound != nil {
		n += r.Bound.Errors
	}
	return n
}

// A metric is what rounds are compared by.
type metric struct {
	name string
	of   func(*Sample) float64
}

var (
	throughput = metric{"per_second", func(s *Sample) float64 { return s.PerSec }}
	tailP99    = metric{"p99", func(s *Sample) float64 { return float64(s.Latency.P99) }}
	medianP50  = metric{"p50", func(s *Sample) float64 { return float64(s.Latency.P50) }}
	worst      = metric{"max", func(s *Sample) float64 { return float64(s.Latency.Max) }}
	cpuPerOp   = metric{"cpu", func(s *Sample) float64 { return s.ServerCPU }}
)

func (m metric) each(ss []Sample) []float64 {
	out := make([]float64, len(ss))
	for i := range ss {
		out[i] = m.of(&ss[i])
	}
	return out
}

// medianOf is the median of one figure over the rounds.
func medianOf(ss []Sample, of func(*Sample) float64) float64 {
	return spreadOf(metric{of: of}.each(ss)).Median
}

func sumUp(ss []Sample) SideResult {
	r := SideResult{
		PerSec:      medianOf(ss, throughput.of),
		ServerCPU:   medianOf(ss, cpuPerOp.of),
		ServerShare: medianOf(ss, func(s *Sample) float64 { return s.ServerShare }),
		PullsPerSec: medianOf(ss, func(s *Sample) float64 { return s.PullsPerSec }),
		Idle:        medianOf(ss, (*Sample).idle),
		Extra:       sumExtra(ss),
		Rounds:      ss,
	}
	h := newHistogram()
	for i := range ss {
		h.merge(ss[i].hist)
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
	r.Latency = h.latency()
	return r
}

// compare makes the result of a scenario from the rounds of its sides.
func compare(sc scenario, relay, bound []Sample, m metric) Result {
	r := Result{Scenario: sc.name, Variant: sc.variant, Unit: sc.unit, Point: sc.point, Compared: m.name, Relay: sumUp(relay)}
	if bound != nil {
		b := sumUp(bound)
		r.Bound = &b
		r.Ratio = ratios(m.each(relay), m.each(bound))
		if m.name == worst.name {
			over := r.Relay.Latency.Max - b.Latency.Max
			r.OverBound = &over
		}
		r.CPURatio = ratios(cpuPerOp.each(relay), cpuPerOp.each(bound))
	}
	other := "bound"
	if sc.peer != nil {
		other = sc.peer.name
		r.Peer, r.Promises = other, sc.peer.promises
	}
	if sc.note != "" {
		r.Notes = append(r.Notes, sc.note)
	}
	r.note("relay", &r.Relay)
	if r.Bound != nil {
		r.note(other, r.Bound)
	}
	return r
}

// note says what a reader of the figures must know about one side.
func (r *Result) note(name string, s *SideResult) {
	loaded := r.Compared == throughput.name || r.Compared == tailP99.name
	if loaded && s.ServerShare > 0 && s.ServerShare < 0.5 {
		r.Notes = append(r.Notes, fmt.Sprintf("the %s had %.0f %% of the CPU used, less than the generator: its throughput hides its cost, read the CPU ratio", name, s.ServerShare*100))
	}
	// A server whose process is unknown is one of the others.
	if others := medianOf(s.Rounds, func(s *Sample) float64 { return s.Others }); others > 0.05 && s.ServerShare > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("other processes used %.0f %% of the machine beside the %s", others*100, name))
	}
	// Beyond the generator's own lag it is a queue for posters.
	if late := s.Late; late != nil && s.Lag != nil && late.P99-s.Lag.P99 > s.Latency.P99/2 {
		r.Notes = append(r.Notes, fmt.Sprintf("posts to the %s waited for a free poster, p99 %s: more posters would send them when they are due", name, micros(float64(late.P99))))
	}
	var unsent int64
	for i := range s.Rounds {
		unsent += s.Rounds[i].Unsent
	}
	if unsent > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d posts to the %s were due and could not be sent in time; they count with the time they had waited", unsent, name))
	}
}

// WriteJSON writes r as one line.
func (r *Result) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Line is r for a reader, without a line end.
func (r *Result) Line() string {
	if r.Peer != "" {
		return r.peerLine()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): ", r.Scenario, r.Variant)
	of := map[string]func(*Latency) int64{
		medianP50.name: func(l *Latency) int64 { return l.P50 },
		tailP99.name:   func(l *Latency) int64 { return l.P99 },
		worst.name:     func(l *Latency) int64 { return l.Max },
	}[r.Compared]
	switch {
	case r.Compared == memoryEach.name:
		r.writeMemory(&b)
	case r.Compared == partLatencies.name:
		r.writeParts(&b)
	case of != nil:
		fmt.Fprintf(&b, "%s %s", r.Compared, micros(float64(of(&r.Relay.Latency))))
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s", micros(float64(of(&r.Bound.Latency))))
		}
		if r.OverBound != nil {
			fmt.Fprintf(&b, ", %s over the bound", micros(float64(*r.OverBound)))
		}
	default:
		fmt.Fprintf(&b, "%s %s/s", count(r.Relay.PerSec), r.Unit)
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s/s", count(r.Bound.PerSec))
		}
	}
	writeRatio(&b, ", ratio", r.Ratio)
	writeRatio(&b, ", to the curve's first point", r.VsFirst)
	if r.BytesEach > 0 {
		fmt.Fprintf(&b, "; %.0f B each", r.BytesEach)
		if r.BytesEachMore != 0 {
			fmt.Fprintf(&b, ", %.0f B beyond the last point", r.BytesEachMore)
		}
	}
	writeRatio(&b, "; to its own p99 without pullers", r.VsQuiet)
	if r.BoundVsQuiet != nil {
		writeRatio(&b, ", the bound's", r.BoundVsQuiet)
	}
	if r.Relay.PullsPerSec > 0 {
		fmt.Fprintf(&b, "; %s pulls/s", count(r.Relay.PullsPerSec))
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s", count(r.Bound.PullsPerSec))
		}
		fmt.Fprintf(&b, ", CPU %.0f %% idle", r.Relay.Idle*100)
	}
	if r.Relay.Lag != nil {
		fmt.Fprintf(&b, "; generator late by p99 %s", micros(float64(r.Relay.Lag.P99)))
	}
	if r.Relay.ServerCPU > 0 && r.Relay.PullsPerSec == 0 {
		each := "each"
		if r.Compared == memoryEach.name {
			each = "a stream and second"
		}
		fmt.Fprintf(&b, "; CPU %s %s", micros(r.Relay.ServerCPU), each)
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s", micros(r.Bound.ServerCPU))
		}
		writeRatio(&b, ", ratio", r.CPURatio)
		fmt.Fprintf(&b, "; server's CPU share %.0f %%", r.Relay.ServerShare*100)
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound's %.0f %%", r.Bound.ServerShare*100)
		}
	}
	r.writeExtra(&b)
	if r.Compared != partLatencies.name {
		fmt.Fprintf(&b, "; latency %s", r.Relay.Latency)
	}
	if r.Bound != nil {
		fmt.Fprintf(&b, ", bound %s", r.Bound.Latency)
	}
	fmt.Fprintf(&b, "; errors %d", r.Errors())
	for _, s := range []*SideResult{&r.Relay, r.Bound} {
		if s != nil && s.FirstError != "" {
			fmt.Fprintf(&b, " (first: %s)", s.FirstError)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "; NOTE: %s", n)
	}
	return b.String()
}

func writeRatio(b *strings.Builder, what string, s *Spread) {
	if s != nil {
		fmt.Fprintf(b, "%s %.2f (%.2f..%.2f)", what, s.Median, s.Min, s.Max)
	}
}

// String is p50, p99, p99.9 and the largest.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %s p99 %s p99.9 %s max %s", micros(float64(l.P50)), micros(float64(l.P99)), micros(float64(l.P999)), micros(float64(l.Max)))
}

// micros prints a number of microseconds with a fitting unit.
func micros(us float64) string {
	d := time.Duration(us * float64(time.Microsecond))
	switch {
	case d < 0:
		return "-" + micros(-us)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= 100*time.Microsecond:
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// count prints a number with thousands set apart.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
