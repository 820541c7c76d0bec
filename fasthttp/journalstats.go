package fasthttp

import (
	"fmt"
	"io"
	"time"
)

// JournalStats is what a relay shows of its journal beside what it measures
// itself. Counts are since the start.
type JournalStats struct {
	Errors     uint64 // failed flushes and compactions, and damage found
	SlowWrites uint64 // operations of the disk that took seconds
	Stalls     uint64 // times that commits waited for flushes or compactions
	TornBytes  uint64 // at the end of the log, which the start could not read and dropped
	DiskBytes  uint64 // of all files of the store
}

// journal asks for the figures. Of a relay that ends they are the last ones: its
// journal may be closed.
func (r *Relay) journal() JournalStats {
	if r.opts.Journal != nil && !r.draining.Load() {
		s := r.opts.Journal()
		r.journalSeen.Store(&s)
	}
	if s := r.journalSeen.Load(); s != nil {
		return *s
	}
	return JournalStats{}
}

func writeReady(r *Relay, w io.Writer, name string) {
	ready := 0
	if r.Ready() {
		ready = 1
	}
	fmt.Fprintf(w, "%s %d\n", name, ready)
}

func writeClock(_ *Relay, w io.Writer, name string) {
	fmt.Fprintf(w, "%s %.3f\n", name, float64(time.Now().UnixMilli())/1000)
}

// writeFreeSpace prints nothing where nobody can tell.
func writeFreeSpace(r *Relay, w io.Writer, name string) {
	if free, known := r.store.FreeSpace(); known {
		fmt.Fprintf(w, "%s %d\n", name, free)
	}
}
