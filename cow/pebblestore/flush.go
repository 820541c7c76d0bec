package pebblestore

import (
	"errors"
	"fmt"
	"runtime/debug"
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
// A manual compaction of the removed ranges behind each flush was tried and dropped.
// Random ids lie all over the store, so it rewrites nearly everything (0.6 s for
// 160 MB). Package reclaim compacts when a good part of the store is deleted, which
// Pebble's own compactions had not freed in a minute of few writes.
const maxRangeDeletes = 256

// flushRanges starts a flush if enough range deletes have gathered. It does not wait
// for it.
func (s *Store) flushRanges(added uint64) {
	if added == 0 || s.rangeDeletes.Add(added) < maxRangeDeletes {
		return
	}
	s.rangeDeletes.Store(0)
	if _, err := s.flush(); err != nil {
		s.failure(fmt.Errorf("a flush could not start: %w", err)) // the next flush takes them along
	}
}

func (s *Store) flush() (flushed <-chan struct{}, err error) {
	defer notPanic(&err)
	return s.db.AsyncFlush()
}

// set writes some of the store's own keys and returns when they are durable.
func (s *Store) set(fill func(*pebble.Batch)) (err error) {
	b := s.db.NewBatch()
	defer b.Close()
	fill(b)
	defer notPanic(&err)
	if err = s.db.Apply(b, pebble.NoSync); err == nil {
		err = s.db.Flush()
	}
	if err != nil {
		return s.openError(err)
	}
	return nil
}

// notPanic makes an error of a panic of Pebble's. It must be deferred.
func notPanic(err *error) {
	if p := recover(); p != nil {
		*err = errors.Join(*err, fmt.Errorf("pebble panicked: %v\n%s", p, debug.Stack()))
	}
}

// flushPatience is how long a clean stop waits for a flush, which may fail and be
// tried again. Pebble's Close waits longer for a flush that is writing by then.
const flushPatience = time.Second

// Flush implements replay.Store. If it gives up, it says so in the operator's log.
func (s *Store) Flush() error {
	if s.readOnly || s.Durable() == s.applied.Load() {
		return nil
	}
	if why := s.writeTables(); why != "" {
		s.opts.Logger.Warn("the store could not write all that it has: the next start replays more of the log", "folder", s.dir, "why", why)
	}
	return nil
}

// writeTables flushes the memtable. It says why it could not, or returns "".
func (s *Store) writeTables() (why string) {
	if s.onDisk {
		// On a full disk a flush fails and is tried again, for ever. Pebble's Close
		// would wait for it.
		if free, err := FreeSpace(s.dir); err != nil || free < uint64(2*memTables*s.opts.MemTableBytes) {
			return "the disk is nearly full"
		}
	}
	flushed, err := s.flush()
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
