package report

import "cowrelay/bench/load"

// A SideResult is what the rounds of one side come to.
type SideResult struct {
	PerSec      float64       `json:"per_second"`           // median of the rounds
	ServerCPU   float64       `json:"server_cpu_us_per_op"` // median; 0: unknown
	ServerShare float64       `json:"server_cpu_share"`     // median, 0 to 1
	Latency     load.Latency  `json:"latency"`              // all rounds together
	Lag         *load.Latency `json:"generator_lag,omitempty"`
	Late        *load.Latency `json:"sent_late,omitempty"`
	PullsPerSec float64       `json:"pulls_per_second,omitempty"`
	Idle        float64       `json:"cpu_idle"` // of the machine; median, 0 to 1
	Errors      int64         `json:"errors"`
	FirstError  string        `json:"first_error,omitempty"`
	load.Extra
	Rounds []load.Sample `json:"rounds"`
}

// Wrong counts something that was found to be wrong after the rounds.
func (s *SideResult) Wrong(err error) {
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
