package pebblelog

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// maxRangeDeletes is the number of range deletes that may gather in memory.
//
// After each range delete the first read sorts all those of the memtable anew. With
// a remove and a load in turn, a load took 0.1 ms at first, 0.27 ms behind 1,000
// removes and 2.9 ms behind 10,000; 50,000 did not end in ten minutes. In a table
// they are sorted for good. So the memtable is flushed before many gather.
//
// A manual compaction of the removed ranges behind the flush was tried and dropped.
// Random ids lie all over the store, so it rewrites nearly everything (0.6 s for
// 160 MB). Pebble's own compactions had freed the space of 10,000 removed slots
// within 3 s of the flush.
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
// Close stops it. Pebble waits for a flush that runs then.
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

// flush rotates the log. Pebble panics there if it can't close the old one.
func (l *Log) flush() (<-chan struct{}, error) {
	defer func() {
		if p := recover(); p != nil {
			l.die(fmt.Errorf("rotating the log panicked: %v", p))
		}
	}()
	return l.db.AsyncFlush()
}

// goLabelled starts a goroutine that Close waits for.
func (l *Log) goLabelled(name string, run func()) {
	l.wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "pebblelog-"+name), func(context.Context) { run() })
	})
}

// syncLoop is the goroutine of mode Interval.
func (l *Log) syncLoop() {
	t := time.NewTicker(l.opts.Interval)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.sync()
		}
	}
}

// sync makes durable what was written before the call. It syncs an entry of the
// log that changes nothing.
func (l *Log) sync() {
	if !l.dirty.Swap(false) {
		return
	}
	b := l.db.NewBatch()
	must(b.LogData(nil, nil))
	l.write(b, pebble.Sync)
	b.Close()
}

// flushPatience is how long a clean stop waits for a flush, which may fail and be
// tried again. Pebble's Close waits longer for a flush that is writing by then.
const flushPatience = time.Second

// emptyLog brings what the log holds into tables. Then damage to the log of a
// stopped store costs nothing, and the next start replays nothing. If it can't, the
// log stays as it is, and the next start replays it.
func (l *Log) emptyLog() {
	if why := l.writeTables(); why != "" {
		l.opts.Logger.Warn("the log may not be empty: the next start reads it", "folder", l.dir, "why", why)
	}
}

// writeTables flushes the memtable. It says why it could not, or returns "".
func (l *Log) writeTables() (why string) {
	if l.onDisk {
		// On a full disk a flush fails and is tried again, for ever. It needs room
		// for the next log, which is made first, and for the tables.
		if free, err := FreeSpace(l.dir); err != nil || free < uint64(2*memTables*l.opts.MemTableBytes) {
			return "the disk is nearly full"
		}
	}
	flushed, err := l.flush()
	if err != nil {
		return err.Error()
	}
	select {
	case <-flushed:
		return ""
	case <-time.After(flushPatience):
		return "the disk is slow"
	}
}
