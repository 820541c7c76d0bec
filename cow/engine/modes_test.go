package engine

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/filelog"
)

// TestJournal_OneSyncPerCommit: however many groups a commit has, it costs one
// sync, and one that stores nothing costs none.
func TestJournal_OneSyncPerCommit(t *testing.T) {
	var observed, bytes atomic.Int64
	l := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet, Observe: func(took time.Duration, n int) {
		if took <= 0 || n <= 0 {
			t.Errorf("observed %v and %d bytes", took, n)
		}
		observed.Add(1)
		bytes.Store(int64(n))
	}}))
	defer l.Close()
	syncs, calls := l.Stats().Log.Syncs, observed.Load()
	groups := make([]cow.Group, 0, 300)
	for range 100 {
		id := cow.NewID()
		groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id}, scriptAppend(id, 0, 0, 5), cow.Group{Op: cow.OpTouch, Slot: id, PulledAt: 1})
	}
	l.Commit(groups)
	if got := l.Stats().Log.Syncs - syncs; got != 1 {
		t.Errorf("a commit of %d groups took %d syncs", len(groups), got)
	}
	if got := observed.Load() - calls; got != 1 || bytes.Load() < 100*5*100 {
		t.Errorf("a commit was observed %d times, with %d bytes", got, bytes.Load())
	}
	l.Commit(nil)
	if got := l.Stats().Log.Syncs - syncs; got != 1 {
		t.Errorf("a commit of nothing took %d syncs", got-1)
	}
}

// TestJournal_Interval: what was committed survives a crash one interval later,
// and without a write nothing is synced.
func TestJournal_Interval(t *testing.T) {
	disk := vfs.NewCrashableMem()
	l := mustOpen(t, "data", small(Options{FS: disk, Sync: filelog.Interval, Interval: 2 * time.Millisecond, Logger: quiet}))
	id := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: id})
	commitOne(t, l, scriptAppend(id, 0, 0, 3))
	deadline := time.Now().Add(time.Minute)
	for {
		c := mustOpen(t, "data", small(Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Logger: quiet}))
		n, err := count(c, id, 0)
		if cerr := c.Close(); cerr != nil {
			t.Fatal(cerr)
		}
		if n == 3 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a minute a crash leaves %d events, %v", n, err)
		}
	}
	syncs := l.Stats().Log.Syncs
	time.Sleep(20 * time.Millisecond)
	if got := l.Stats().Log.Syncs; got != syncs {
		t.Errorf("%d syncs without a write", got-syncs)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestJournal_CloseIsDurable: in every mode what was stored survives a crash right
// behind Close.
func TestJournal_CloseIsDurable(t *testing.T) {
	for _, sync := range modes {
		disk := vfs.NewCrashableMem()
		l := mustOpen(t, "data", small(Options{FS: disk, Sync: sync, Interval: time.Hour, Logger: quiet}))
		s := newScript(2)
		for range 20 {
			s.step(l)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		verify(t, s, crash{fs: disk.CrashClone(vfs.CrashCloneCfg{}), low: 20, high: 20})
	}
}

// TestJournal_CommitReadsNothing: whatever a group is about, also a slot that was
// not touched since the store was opened, Commit judges it without a read.
func TestJournal_CommitReadsNothing(t *testing.T) {
	disk := vfs.NewMem()
	l := mustOpen(t, "data", Options{FS: disk, SegmentBytes: 1 << 20, Logger: quiet})
	slots := make([]cow.ID, 1000)
	for i := range slots {
		slots[i] = cow.NewID()
		commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: slots[i]})
	}
	g := scriptAppend(slots[0], 0, 0, 2)
	commitOne(t, l, g)
	// A slot that is longer than the block cache, to push the records out of it.
	long, rng := cow.NewID(), rand.New(rand.NewPCG(5, 6))
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: long})
	const events = 200
	for i := uint64(0); i < events; i++ {
		e := randomEvent(rng, int(i), 100_000)
		commitOne(t, l, cow.Group{Op: cow.OpAppend, Slot: long, Version: i, First: i, Events: []event.Event{e}, Count: i + 1, Bytes: (i + 1) * 100_000})
	}
	if err := flush(l); err != nil { // into a table: a look would be a read
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	var watched atomic.Bool
	var reads atomic.Int64
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if watched.Load() && (op.Kind == errorfs.OpFileRead || op.Kind == errorfs.OpFileReadAt) {
			reads.Add(1)
		}
		return nil
	}))
	l = mustOpen(t, "data", Options{FS: fs, SegmentBytes: 1 << 20, Logger: quiet, CacheBytes: 1, MemTableBytes: 1})
	defer l.Close()
	for range 2 {
		if n, err := count(l, long, 0); n != events || err != nil {
			t.Fatalf("%d events, %v", n, err)
		}
	}
	watched.Store(true)
	stale := []cow.Group{scriptAppend(slots[0], 1, uint64(len(g.Events[0].JSON)), 1)}
	l.Commit(stale)
	if stale[0].Outcome != cow.Conflict {
		t.Errorf("stale append: outcome %d, %v", stale[0].Outcome, stale[0].Err)
	}
	commitOne(t, l, scriptAppend(slots[0], g.Count, g.Bytes, 3))
	commitOne(t, l, scriptAppend(slots[1], 0, 0, 1))
	commitOne(t, l, cow.Group{Op: cow.OpTouch, Slot: slots[2], PulledAt: 7})
	commitOne(t, l, cow.Group{Op: cow.OpRemove, Slot: slots[3]})
	for _, op := range []cow.Op{cow.OpTouch, cow.OpRemove} {
		gone := []cow.Group{{Op: op, Slot: slots[3]}}
		if l.Commit(gone); gone[0].Outcome != cow.Conflict {
			t.Errorf("operation %d on a removed slot: outcome %d", op, gone[0].Outcome)
		}
	}
	if n := reads.Load(); n != 0 {
		t.Errorf("commits took %d reads", n)
	}
	watched.Store(false)
	if n, err := count(l, slots[0], 0); n != 5 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}
