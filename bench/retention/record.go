package retention

import (
	"path/filepath"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/record"
	"cowrelay/bench/report"
)

// The phases, in their order.
const (
	Quiet  = "quiet"
	Fill   = "fill"
	Stored = "stored"
	Expiry = "expiry"
	Space  = "space"
)

// A Setup is what was run, and where.
type Setup struct {
	Variant  string         `json:"variant"`
	Command  string         `json:"command,omitempty"`
	Events   int64          `json:"events"`
	Expiring int64          `json:"expiring"` // of them
	Size     int64          `json:"event_bytes"`
	TTL      time.Duration  `json:"ttl_ns"`
	Wait     time.Duration  `json:"wait_ns"`
	Spare    int64          `json:"spare_bytes"`
	Machine  report.Machine `json:"machine"`
}

// A Sample is the disk and the relay's counts at one moment, in bytes where nothing
// else is said.
type Sample struct {
	At    float64 `json:"at_s"` // seconds since the start
	Phase string  `json:"phase"`
	// Disk is what all files of the data folder take, by their blocks, and Parts is
	// the same of each folder in it, and of "store": the files beside these.
	Disk  int64            `json:"disk"`
	Parts map[string]int64 `json:"parts"`
	// Events and Left are the events that the relay has, and their bytes.
	Events int64 `json:"events"`
	Left   int64 `json:"left"`
	Gone   int64 `json:"gone"` // events that have left
	// Debt is what compactions would write to come to rest.
	Debt int64 `json:"compaction_debt"`
}

// A Slice is the latency of the posts at a fixed rate over a short time, by when they
// were due.
type Slice struct {
	At    float64      `json:"at_s"` // of its beginning
	Phase string       `json:"phase"`
	Posts load.Latency `json:"posts"`
}

// A Phase is what came of one phase.
type Phase struct {
	Name    string       `json:"name"`
	Seconds float64      `json:"seconds"`
	Posts   load.Latency `json:"posts"` // of all slices that began in it
}

// A Result is what the run found out by its answers.
type Result struct {
	FillPerSec float64 `json:"fill_events_per_second"`
	Beside     int64   `json:"beside"` // events that were posted alone
	Kept       int64   `json:"kept"`   // events that were read back, of those that were posted in batches and stay
	Errors     int64   `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
}

// An entry is a line of the file. One of its fields is set.
type entry struct {
	Setup   *Setup          `json:"setup,omitempty"`
	Sample  *Sample         `json:"sample,omitempty"`
	Slice   *Slice          `json:"slice,omitempty"`
	Phase   *Phase          `json:"phase,omitempty"`
	Result  *Result         `json:"result,omitempty"`
	Verdict *record.Verdict `json:"verdict,omitempty"` // for readers; Read leaves it out
}

// A Record is what a run has seen.
type Record struct {
	Setup   Setup
	Samples []Sample
	Slices  []Slice
	Phases  []Phase
	Result  *Result // nil if the run was cut off
}

func (r *Record) add(e entry) {
	switch {
	case e.Setup != nil:
		r.Setup = *e.Setup
	case e.Sample != nil:
		r.Samples = append(r.Samples, *e.Sample)
	case e.Slice != nil:
		r.Slices = append(r.Slices, *e.Slice)
	case e.Phase != nil:
		r.Phases = append(r.Phases, *e.Phase)
	case e.Result != nil:
		r.Result = e.Result
	}
}

// FileName is the name of the file in the folder of a run.
const FileName = "retention.jsonl"

// Read reads the record in a folder.
func Read(dir string) (*Record, error) {
	r := &Record{}
	return r, record.Read(filepath.Join(dir, FileName), r.add)
}
