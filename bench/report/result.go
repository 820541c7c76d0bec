package report

import "cowrelay/bench/load"

// A SideResult is what the rounds of one side came to.
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

// Wrong counts an error that was found after the rounds.
func (s *SideResult) Wrong(err error) {
	if s.Errors++; s.FirstError == "" {
		s.FirstError = err.Error()
	}
}

// A Result is what one load came to: a line of output.
type Result struct {
	Scenario string `json:"scenario"`
	Variant  string `json:"variant"`
	Unit     string `json:"unit"`
	// Point is the result's place on a curve; nil if it is on none.
	Point *Point `json:"point,omitempty"`
	// Compared is the figure that Ratio is of: "per_second", "p50", "p99",
	// "max" or "bytes_per_stream". Mix has no bound; its Compared is
	// "latencies".
	Compared string      `json:"compared"`
	Relay    SideResult  `json:"relay"`
	Bound    *SideResult `json:"bound,omitempty"`
	// Ratio is relay to bound, over the pairs of rounds.
	Ratio *Spread `json:"ratio,omitempty"`
	// CPURatio is relay to bound in the server's CPU time for each op.
	CPURatio *Spread `json:"cpu_ratio,omitempty"`
	// VsQuiet, in saturation and batch-beside, is the relay's p99 to its p99 when
	// nothing goes on beside the posts.
	VsQuiet *Spread `json:"vs_quiet,omitempty"`
	// QuietName says what was not there then: "no pullers". PullsName says what the
	// sides' pulls are if they are not pulls: "batches".
	QuietName string `json:"quiet,omitempty"`
	PullsName string `json:"pulls_are,omitempty"`
	// BoundVsQuiet is the same for the bound.
	BoundVsQuiet *Spread `json:"bound_vs_quiet,omitempty"`
	// VsFirst, on a curve, is the figure to that at the curve's first point,
	// over the rounds.
	VsFirst *Spread `json:"vs_first,omitempty"`
	// OverBound, where the longest latency is compared, is how much longer the
	// relay's is than the bound's, in microseconds.
	OverBound *int64 `json:"over_bound_us,omitempty"`
	// BytesEach is the relay's resident memory for each of what Point counts.
	BytesEach float64 `json:"bytes_each,omitempty"`
	// BytesEachMore is the memory for each of those that came since the curve's
	// last point. It leaves out what does not depend on their number.
	BytesEachMore float64  `json:"bytes_each_more,omitempty"`
	Notes         []string `json:"notes,omitempty"`
	// Peer names the server in the place of the bound. Promises is what it
	// promises less than the relay. Skipped says why it did not run.
	Peer     string  `json:"peer,omitempty"`
	Promises string  `json:"promises,omitempty"`
	Skipped  string  `json:"skipped,omitempty"`
	Machine  Machine `json:"machine"`
}

// A Point is a place on a curve of a scenario: Curve is what is drawn, Axis
// what it is drawn over, and X the place on that axis.
type Point struct {
	Curve string  `json:"curve"`
	Axis  string  `json:"axis"`
	X     float64 `json:"x"`
}

// Errors counts the errors of both sides.
func (r *Result) Errors() int64 {
	n := r.Relay.Errors
	if r.Bound != nil {
		n += r.Bound.Errors
	}
	return n
}
