package replay

import (
	"sync/atomic"
	"time"
)

// Stats is what metrics show of a Journal. Counts are since Open.
type Stats struct {
	BacklogBytes   int64         // of entries that the store does not have yet
	BacklogEntries int           // their number
	Last           uint64        // newest entry of the log
	Applied        uint64        // newest entry in the store
	Trimmed        uint64        // up to here the log may forget
	Replayed       uint64        // entries that Open brought into the store
	Waits          uint64        // cycles that had to wait for room in the backlog
	Entries        uint64        // entries written to the log
	Batches        uint64        // batches written to the store
	ApplyTime      time.Duration // that they took
	LastError      error         // the fatal one; nil for none
}

// counters are those behind Stats that no lock guards.
type counters struct {
	entries   atomic.Uint64 // a cycle adds
	batches   atomic.Uint64 // the applier adds
	applyTime atomic.Int64  // nanoseconds; the applier adds
	trimmed   atomic.Uint64 // the applier stores
	replayed  uint64        // set before Open returns
}

// Stats takes a lock for a moment.
func (j *Journal) Stats() Stats {
	s := Stats{
		Trimmed: j.trimmed.Load(), Replayed: j.replayed, Entries: j.entries.Load(),
		Batches: j.batches.Load(), ApplyTime: time.Duration(j.applyTime.Load()),
	}
	if err := j.lastError.Load(); err != nil {
		s.LastError = *err
	}
	b := &j.backlog
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.BacklogBytes, s.BacklogEntries, s.Last, s.Applied, s.Waits = b.bytes, b.entries, b.last, b.applied, b.waits
	return s
}
