package pebblelog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Stats is what metrics show of a Log. All counts are since Open.
type Stats struct {
	Syncs            uint64 // syncs of the log
	BackgroundErrors uint64 // failed flushes and compactions; they are tried again
	Corruptions      uint64 // damage found, by loads or in the background
	SlowWrites       uint64 // operations of the disk that took seconds
	WriteStalls      uint64 // times that commits had to wait for flushes or compactions
	RangeDeletes     uint64 // of removals that gathered since the last flush
	LastError        error  // of the background or the fatal one; nil for none
	TornBytes        uint64 // at the end of the log, which Open could not read
	DiskBytes        uint64 // of all files of the store
	Pebble           *pebble.Metrics
}

// Stats takes some 10 µs and a lock of Pebble's: for a scrape, not for a
// request.
func (l *Log) Stats() Stats {
	m := l.db.Metrics()
	s := Stats{
		Syncs:            l.syncs.Load(),
		BackgroundErrors: l.background.Load(),
		Corruptions:      l.corruptions.Load(),
		SlowWrites:       l.slow.Load(),
		WriteStalls:      l.stalls.Load(),
		RangeDeletes:     l.flusher.gathered.Load(),
		TornBytes:        l.tornBytes.Load(),
		DiskBytes:        m.DiskSpaceUsage(),
		Pebble:           m,
	}
	if err := l.lastError.Load(); err != nil {
		s.LastError = *err
	}
	return s
}

// stats are the counters behind Stats and the throttles of what is logged
// beside them.
type stats struct {
	syncs       atomic.Uint64
	background  atomic.Uint64
	corruptions atomic.Uint64
	slow        atomic.Uint64
	stalls      atomic.Uint64
	tornBytes   atomic.Uint64
	lastError   atomic.Pointer[error]

	backgroundLog, corruptLog, slowLog, stallLog, filesLog throttle
}

// throttle lets one line of a kind through every ten seconds and says how
// many it dropped.
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
