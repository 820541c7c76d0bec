package soak

import (
	"path/filepath"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/load"
	"cowrelay/bench/record"
	"cowrelay/bench/report"
)

// A Setup is what was run, and where.
type Setup struct {
	Variant string         `json:"variant"`
	Command string         `json:"command,omitempty"`
	Time    time.Duration  `json:"time_ns"`
	Machine report.Machine `json:"machine"`
}

// A Sample is what the relay takes at one moment, in bytes where nothing else is
// said.
type Sample struct {
	At float64 `json:"at_s"` // seconds since the start of the load
	// The control group: its whole memory, and of that the process's own, page
	// cache, objects of the kernel, buffers of sockets.
	Group   int64 `json:"group"`
	Own     int64 `json:"group_own"`
	Cache   int64 `json:"group_cache"`
	Kernel  int64 `json:"group_kernel"`
	Sockets int64 `json:"group_sockets"`
	// The process: what is resident, the heap with its garbage, and all that Go's
	// runtime has from the system and did not give back.
	RSS  int64 `json:"rss"`
	Heap int64 `json:"heap"`
	Go   int64 `json:"go"`
	// What the relay counts: all of cowrelay_memory_bytes and cowrelay_backlog_bytes,
	// its parts, and what they may be.
	Counted int64            `json:"counted"`
	Kinds   map[string]int64 `json:"counted_kinds"`
	Budget  int64            `json:"budget"`
	// Numbers of things.
	Goroutines  int64 `json:"goroutines"`
	Descriptors int64 `json:"descriptors"`
	Streams     int64 `json:"streams"`
	Events      int64 `json:"events"`
	Evictions   int64 `json:"evictions"`
	Loads       int64 `json:"loads"`
	// The disk: all events, what all files take, those of the relay's journal among
	// them, and the lines that the relay logged.
	EventBytes int64 `json:"event_bytes"`
	Disk       int64 `json:"disk"`
	Journal    int64 `json:"journal"`
	Log        int64 `json:"log"`
}

// A Reading is of the books, after a collection of garbage.
type Reading struct {
	At float64 `json:"at_s"`
	books.Books
}

// A Minute is the latency of the posts that were due in it, beginning with 0.
type Minute struct {
	N     int          `json:"n"`
	Posts load.Latency `json:"posts"`
}

// An entry is a line of the file. One of its fields is set.
type entry struct {
	Setup   *Setup          `json:"setup,omitempty"`
	Sample  *Sample         `json:"sample,omitempty"`
	Reading *Reading        `json:"books,omitempty"`
	Minute  *Minute         `json:"minute,omitempty"`
	Load    *report.Result  `json:"load,omitempty"`
	Verdict *record.Verdict `json:"verdict,omitempty"` // for readers; Read leaves it out
}

// A Record is what a soak has seen.
type Record struct {
	Setup    Setup
	Samples  []Sample
	Readings []Reading
	Minutes  []Minute
	Load     *report.Result // nil if the run was cut off
}

func (r *Record) add(e entry) {
	switch {
	case e.Setup != nil:
		r.Setup = *e.Setup
	case e.Sample != nil:
		r.Samples = append(r.Samples, *e.Sample)
	case e.Reading != nil:
		r.Readings = append(r.Readings, *e.Reading)
	case e.Minute != nil:
		r.Minutes = append(r.Minutes, *e.Minute)
	case e.Load != nil:
		r.Load = e.Load
	}
}

// FileName is the name of the file in the folder of a soak.
const FileName = "soak.jsonl"

// Read reads the record in a folder.
func Read(dir string) (*Record, error) {
	r := &Record{}
	return r, record.Read(filepath.Join(dir, FileName), r.add)
}
