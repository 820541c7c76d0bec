package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
	"cowrelay/cow/journaltest"
)

var modes = []filelog.Sync{filelog.Always, filelog.Interval, filelog.Off}

func mustOpen(t testing.TB, dir string, opts Options) *Journal {
	t.Helper()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// conformance runs the suite on a store that options opens.
func conformance(t *testing.T, options func(t testing.TB) (dir string, opts Options)) {
	journaltest.Run(t, func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		dir, opts := options(t)
		l := mustOpen(t, dir, opts)
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l, l, func() (cow.Journal, cow.Records) {
			t.Helper()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, dir, opts)
			return l, l
		}
	})
}

func TestJournal_Conformance(t *testing.T) {
	for _, sync := range modes {
		if raceEnabled && sync != filelog.Always {
			continue // the plain run takes each
		}
		t.Run(sync.String(), func(t *testing.T) {
			t.Run("small", func(t *testing.T) { // batches larger than a memtable
				conformance(t, func(testing.TB) (string, Options) {
					return "data", small(Options{Sync: sync, FS: vfs.NewMem()})
				})
			})
			if raceEnabled {
				return // the goroutines are the same; small stores have most for them to do
			}
			t.Run("memory", func(t *testing.T) {
				conformance(t, func(testing.TB) (string, Options) {
					return "data", Options{Sync: sync, FS: vfs.NewMem(), SegmentBytes: 1 << 20}
				})
			})
			t.Run("disk", func(t *testing.T) {
				t.Parallel() // it waits for the disk, mostly
				conformance(t, func(t testing.TB) (string, Options) {
					return t.TempDir(), Options{Sync: sync, SegmentBytes: 1 << 20}
				})
			})
		})
	}
}

// flush waits until the store has what was committed, and writes it into a table.
func flush(l *Journal) error {
	for s := l.Stats(); l.Stats().Applied < s.Last; {
		time.Sleep(time.Millisecond)
	}
	return l.store.Flush()
}

func commitOne(t testing.TB, l *Journal, g cow.Group) {
	t.Helper()
	groups := []cow.Group{g}
	l.Commit(groups)
	if groups[0].Outcome != cow.Stored {
		t.Fatalf("op %d: outcome %d, %v", g.Op, groups[0].Outcome, groups[0].Err)
	}
}

// scriptAppend makes the append of n script events behind count and bytes.
func scriptAppend(slot cow.ID, count, bytes uint64, n int) cow.Group {
	g := cow.Group{Op: cow.OpAppend, Slot: slot, Version: count, First: count, Count: count, Bytes: bytes}
	for range n {
		e := scriptEvent(slot, g.Count)
		g.Events = append(g.Events, e)
		g.Count, g.Bytes = g.Count+1, g.Bytes+uint64(len(e.JSON))
	}
	return g
}

func count(l *Journal, slot cow.ID, from uint64) (n int, err error) {
	err = l.Load(slot, from, func(a *cow.Append) error { n += len(a.Events); return nil })
	return n, err
}

// randomEvent compresses about as real ones do.
func randomEvent(rng *rand.Rand, n, size int) event.Event {
	b := fmt.Appendf(nil, `{"event_id":"%016x%016x","n":%d,"kind":"message","from":"alice@example.org","body":"`, rng.Uint64(), rng.Uint64(), n)
	for len(b) < size-18 {
		b = fmt.Appendf(b, "%016x the quick brown fox ", rng.Uint64())
	}
	b = append(b[:size-2], `"}`...)
	return event.Event{JSON: b, IDOff: uint32(bytes.Index(b, []byte(`:"`)) + 1)}
}

// inspect verifies a stopped folder.
func inspect(t *testing.T, dir string, fs vfs.FS) (Report, []Fault) {
	t.Helper()
	r, err := OpenReader(dir, Options{FS: fs, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var faults []Fault
	report, err := r.Verify(context.Background(), VerifyOptions{Fault: func(f Fault) { faults = append(faults, f) }})
	if err != nil || int(report.Faults) != len(faults) {
		t.Fatalf("%v, %d faults told, %d counted", err, len(faults), report.Faults)
	}
	return report, faults
}
