package load

import (
	"cowrelay/bench/cgroup"
	"cowrelay/bench/proc"
)

// An Extra is what only some scenarios measure.
type Extra struct {
	// Memory is that of the server, in idle and churn.
	Memory *Memory `json:"memory,omitempty"`
	// Goroutines is how many the relay had, in churn.
	Goroutines *Goroutines `json:"goroutines,omitempty"`
	// AllClosed is the time in milliseconds from the last close of churn until
	// the relay counted no stream.
	AllClosed *float64 `json:"all_closed_ms,omitempty"`
	// Group is what the relay's control group used, in edge and cold.
	Group *cgroup.Use `json:"group,omitempty"`
	// Cold is what was stored and read in cold.
	Cold *Cold `json:"cold,omitempty"`
	// Heartbeats is how many came in the measured time of idle and edge.
	Heartbeats int64 `json:"heartbeats,omitempty"`
	// Batches is set where requests have several events each.
	Batches *Batches `json:"batches,omitempty"`
	// Read is how many bytes the relay read from its files, and its sockets, for an
	// answer of Answer bytes, in tail.
	Read   int64 `json:"read_bytes,omitempty"`
	Answer int64 `json:"answer_bytes,omitempty"`
	// Loaded is what the relay says that it loaded for it.
	Loaded *Loaded `json:"loaded,omitempty"`
	// TimeWait counts the sockets that connect left behind at the end of a
	// round.
	TimeWait *proc.TimeWait `json:"time_wait,omitempty"`
	// Parts are the latencies of each kind of operation of mix and cold.
	Parts map[string]Latency `json:"parts,omitempty"`

	// PartHists holds the latencies behind Parts.
	PartHists map[string]Histogram `json:"-"`
}

// Loaded counts what a relay has read back from its store: the tables of slots, and
// chunks of events.
type Loaded struct {
	Slots  int `json:"slots"`
	Chunks int `json:"chunks"`
}

// A Memory is the resident memory of a server (VmRSS), in bytes.
type Memory struct {
	Before  int64 `json:"rss_before"` // before the first stream, after the slots were made
	After   int64 `json:"rss_after"`
	Streams int   `json:"streams"` // open at After
	// Each is (After-Before)/Streams and Whole is After/Streams, which also
	// holds what the server needs without any stream.
	Each  float64 `json:"bytes_per_stream,omitempty"`
	Whole float64 `json:"rss_per_stream,omitempty"`
}

// Goroutines are counted before the first stream, 2 s after the last one, and
// when they are back to what they were. Seconds says when that was, or when the
// wait for it ended.
type Goroutines struct {
	Before  int     `json:"before"`
	Soon    int     `json:"soon"`
	After   int     `json:"after"`
	Seconds float64 `json:"after_s"`
}

// A Cold says how a load of cold reads went beside hot ones.
type Cold struct {
	Slots   int     `json:"slots"`
	Stored  int64   `json:"stored_bytes"` // of events
	Budget  int64   `json:"budget_bytes"` // the relay's memory budget
	Rate    float64 `json:"rate"`         // cold windows a second at most
	Windows float64 `json:"per_second"`   // that were read
	Refused int64   `json:"refused"`      // cold reads answered by 503 with Retry-After
	// Quiet are the latencies of hot reads and posts without cold reads, and QuietCPU
	// is the part of a core that the relay took for them.
	Quiet    map[string]Latency `json:"quiet"`
	QuietCPU float64            `json:"quiet_cpu_cores"`
	// VsQuiet is the p99 of hot reads and posts to the quiet one.
	VsQuiet map[string]float64 `json:"vs_quiet"`
}
