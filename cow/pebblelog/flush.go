package pebblelog

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// maxRangeDeletes is the number of range deletes that may gather in memory.
//
// Pebble sorts the range deletes of a memtable anew for the first read after
// each further one. With a remove and a load in turn, a load took 0.1 ms at
// first, 0.27 ms behind 1,000 removes, 2.9 ms behind 10,000, and 50,000 did
// not end in ten minutes. In a table they are sorted for good. So the memtable
// is flushed before many gather. A manual compaction of the removed ranges
// behind it was dropped: random ids lie all over the store, so it rewrites
// nearly everything (0.6 s for 160 MB), while Pebble's own compactions had
// given the space of 10,000 removed slots back within 3 s of the flush.
const maxRangeDeletes = 256

// flusher flushes the memtable when range deletes have gathered.
type flusher struct {
	gathered atomic.Uint64 // range deletes since the last flush was asked for
	wake     chan struct{} // of capacity 1; flushLoop receives
}

// add counts range deletes that were committed.
func (f *flusher) add(n uint64) {
	if n == 0 || f.gathered.Add(n) < maxRangeDeletes {
		return
	}
	select {
	case f.wake <- struct{}{}:
	default: // it is about to look
	}
}

// flushLoop is a goroutine of its own, so that no commit waits for a flush.
// Close stops it; a flush that runs then is waited for by Pebble.
func (l *Log) flushLoop() {
	for {
		select {
		case <-l.stop:
			return
		case <-l.flusher.wake:
		}
		if l.flusher.gathered.Load() < maxRangeDeletes {
			continue
		}
		l.flusher.gathered.Store(0)
		flushed, err := l.flush()
		if err != nil {
			// Nothing is lost: the next flush takes them along.
			l.background.Add(1)
			l.lastError.Store(&err)
			l.backgroundLog.log(l.opts.Logger, slog.LevelError, "a flush could not start", "error", err, "folder", l.dir)
			continue
		}
		select {
		case <-l.stop:
			return
		case <-flushed:
		}
	}
}

// flush rotates the log, which panics when the old one can't be closed.
func (l *Log) flush() (<-chan struct{}, error) {
	defer func() {
		if p := recover(); p != nil {
			l.die(fmt.Errorf("rotating the log panicked: %v", p))
		}
	}()
	return l.db.AsyncFlush()
}
