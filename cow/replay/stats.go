package replay

import (
	"sync/atomic"
	"time"

	"cowrelay/cow"
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
func (m *machine) Stats() Stats {
	s := Stats{
		Trimmed: m.trimmed.Load(), Replayed: m.replayed, Entries: m.entries.Load(),
		Batches: m.batches.Load(), ApplyTime: time.Duration(m.applyTime.Load()),
	}
	if err := m.lastError.Load(); err != nil {
		s.LastError = *err
	}
	b := &m.backlog
	b.mu.RLock()
	defer b.mu.RUnlock()
	s.BacklogBytes, s.BacklogEntries, s.Last, s.Applied, s.Waits = b.bytes, b.entries, b.last, b.applied, b.waits
	return s
}

// SharedStats is what metrics show of a SharedJournal. Numbers of entries are those of
// the shared log, in the embedded Stats too. Counts are since OpenShared.
type SharedStats struct {
	Stats
	Health       cow.Health
	Durable      uint64 // newest entry that the store keeps over a crash
	Digest       uint64 // behind the newest applied entry
	Seen         uint64 // entries that came from the log
	Own          uint64 // of them, those of this relay
	Ignored      uint64 // of them, those that do not count: sent twice, or before one that was lost
	Doubles      uint64 // of the ignored ones, those that were sent twice
	Resent       uint64 // entries that were sent again
	Pending      int    // entries that were sent and not seen
	PendingBytes int
	FeedEntries  int    // that wait for cow
	FeedBytes    int64  // of them
	FeedLost     uint64 // appends that cow had to read, as too many waited
}

// Stats takes a lock for a moment, three times.
func (j *SharedJournal) Stats() SharedStats {
	s := SharedStats{
		Stats: j.machine.Stats(), Health: j.Health(), Durable: j.Durable(),
		Seen: j.seen.Load(), Own: j.own.Load(), Ignored: j.ignored.Load(), Doubles: j.doubles.Load(), Resent: j.resent.Load(),
	}
	s.Last, s.Stats.Applied = s.Last-j.base, s.Stats.Applied-j.base
	s.Trimmed -= min(j.base, s.Trimmed)
	s.FeedEntries, s.FeedBytes, s.FeedLost = j.feed.state()
	j.mu.Lock()
	defer j.mu.Unlock()
	s.Digest, s.Pending, s.PendingBytes = j.digest, len(j.pending), j.bytes
	return s
}
