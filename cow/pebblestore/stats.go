package pebblestore

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow/pebblestore/reclaim"
)

// Stats is what metrics show of a Store. All counts are since Open.
type Stats struct {
	Applied          uint64 // number of the newest applied entry
	Batches          uint64 // applied
	BatchBytes       uint64 // of keys and values in them
	BackgroundErrors uint64 // failed flushes and compactions; they are tried again
	Corruptions      uint64 // damage found, by loads or in the background
	SlowWrites       uint64 // operations of the disk that took seconds
	WriteStalls      uint64 // times that Apply had to wait for flushes or compactions
	RangeDeletes     uint64 // of removals that gathered since the last flush
	LastError        error  // of the background or the fatal one; nil for none
	TornBytes        uint64 // at the end of a log of format 1, which Open could not read
	DiskBytes        uint64 // of all files of the store
	CompactionDebt   uint64 // bytes that compactions would write to come to rest
	Garbage          uint64 // bytes of tables that were deleted and are not freed yet: an estimate
	CacheHits        uint64 // blocks of tables that were in the cache
	CacheMisses      uint64 // and that were not
	CacheBytes       uint64 // that the cache holds
	Pebble           *pebble.Metrics
}

// Stats takes some 10 µs and a lock of Pebble's. Call it for a scrape, not for a
// request. While the disk hangs, what comes from Pebble is of an earlier call.
func (s *Store) Stats() Stats {
	m := s.figures.ask(s.db)
	st := Stats{
		Applied:          s.applied.Load(),
		Batches:          s.batches.Load(),
		BatchBytes:       s.batchBytes.Load(),
		BackgroundErrors: s.background.Load(),
		Corruptions:      s.corruptions.Load(),
		SlowWrites:       s.slow.Load(),
		WriteStalls:      s.stalls.Load(),
		RangeDeletes:     s.rangeDeletes.Load(),
		TornBytes:        s.tornBytes.Load(),
		DiskBytes:        m.DiskSpaceUsage(),
		CompactionDebt:   m.Compact.EstimatedDebt,
		Garbage:          reclaim.Garbage(m),
		CacheHits:        uint64(m.BlockCache.Hits),
		CacheMisses:      uint64(m.BlockCache.Misses),
		CacheBytes:       uint64(m.BlockCache.Size),
		Pebble:           m,
	}
	if err := s.lastError.Load(); err != nil {
		st.LastError = *err
	}
	return st
}

// figuresWait is how long a call waits for Pebble's figures.
const figuresWait = 100 * time.Millisecond

// figures are those of Pebble. They are asked for on another goroutine: Pebble
// answers behind a write of its manifest, so it does not answer while the disk hangs.
// A scrape must come through then, above all.
type figures struct {
	wg     sync.WaitGroup // the goroutine that asks
	mu     sync.Mutex
	asking chan struct{}   // closed when it has an answer; nil while nobody asks
	last   *pebble.Metrics // the newest answer; Open sets the first
}

// ask returns the newest figures, or older ones if Pebble takes long.
func (f *figures) ask(db *pebble.DB) *pebble.Metrics {
	f.mu.Lock()
	answered := f.asking
	if answered == nil {
		answered = make(chan struct{})
		f.asking = answered
		f.wg.Go(func() {
			m := db.Metrics()
			f.mu.Lock()
			f.last, f.asking = m, nil
			f.mu.Unlock()
			close(answered)
		})
	}
	f.mu.Unlock()
	timer := time.NewTimer(figuresWait)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// stats are the counters behind Stats, and the throttles of the log lines that go
// with them.
type stats struct {
	applied      atomic.Uint64
	batches      atomic.Uint64
	batchBytes   atomic.Uint64
	background   atomic.Uint64
	corruptions  atomic.Uint64
	slow         atomic.Uint64
	stalls       atomic.Uint64
	rangeDeletes atomic.Uint64
	tornBytes    atomic.Uint64
	lastError    atomic.Pointer[error]

	backgroundLog, corruptLog, slowLog, stallLog, filesLog throttle
}

// throttle lets one line of a kind through in ten seconds. The next line says how
// many were dropped.
type throttle struct {
	mu      sync.Mutex
	last    time.Time
	dropped int
}

func (t *throttle) log(log *slog.Logger, level slog.Level, msg string, args ...any) {
	t.mu.Lock()
	if now := time.Now(); t.last.IsZero() || now.Sub(t.last) >= 10*time.Second {
		args = append(args, "dropped", t.dropped)
		t.last, t.dropped = now, 0
	} else {
		t.dropped++
		args = nil
	}
	t.mu.Unlock()
	if args != nil {
		log.Log(context.Background(), level, msg, args...)
	}
}
