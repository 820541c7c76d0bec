package pebblelog

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sys/unix"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

func TestParseSync(t *testing.T) {
	for _, s := range []Sync{Always, Interval, Off} {
		if got, err := ParseSync(s.String()); got != s || err != nil {
			t.Errorf("ParseSync(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "ALWAYS", "on", "Sync(3)"} {
		if got, err := ParseSync(s); err == nil {
			t.Errorf("ParseSync(%q) = %v, want an error", s, got)
		}
	}
	if got := Sync(3).String(); got != "Sync(3)" {
		t.Errorf("Sync(3) is %q", got)
	}
}

// TestLog_OneSyncPerCommit: however many groups a commit has, it costs one
// sync, and one that stores nothing costs none.
func TestLog_OneSyncPerCommit(t *testing.T) {
	var observed, bytes atomic.Int64
	l := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet, Observe: func(took time.Duration, n int) {
		if took <= 0 || n <= 0 {
			t.Errorf("observed %v and %d bytes", took, n)
		}
		observed.Add(1)
		bytes.Store(int64(n))
	}}))
	defer l.Close()
	syncs, calls := l.Stats().Syncs, observed.Load()
	groups := make([]cow.Group, 0, 300)
	for range 100 {
		id := cow.NewID()
		groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id}, scriptAppend(id, 0, 0, 5), cow.Group{Op: cow.OpTouch, Slot: id, PulledAt: 1})
	}
	l.Commit(groups)
	if got := l.Stats().Syncs - syncs; got != 1 {
		t.Errorf("a commit of %d groups took %d syncs", len(groups), got)
	}
	if got := observed.Load() - calls; got != 1 || bytes.Load() < 100*5*100 {
		t.Errorf("a commit was observed %d times, with %d bytes", got, bytes.Load())
	}
	l.Commit(nil)
	l.Commit([]cow.Group{{Op: cow.OpTouch, Slot: cow.NewID()}})
	if got := l.Stats().Syncs - syncs; got != 1 {
		t.Errorf("commits that store nothing took %d syncs", got-1)
	}
}

// TestLog_Interval: what was committed survives a crash one interval later,
// and without a write nothing is synced.
func TestLog_Interval(t *testing.T) {
	disk := vfs.NewCrashableMem()
	l := mustOpen(t, "data", small(Options{FS: disk, Sync: Interval, Interval: 2 * time.Millisecond, Logger: quiet}))
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
	syncs := l.Stats().Syncs
	time.Sleep(20 * time.Millisecond)
	if got := l.Stats().Syncs; got != syncs {
		t.Errorf("%d syncs without a write", got-syncs)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLog_CloseIsDurable: in every mode what was stored survives a crash right
// behind Close.
func TestLog_CloseIsDurable(t *testing.T) {
	for _, sync := range []Sync{Always, Interval, Off} {
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

// TestLog_RangeDeletes: range deletes don't gather in memory (see flush.go).
func TestLog_RangeDeletes(t *testing.T) {
	l := mustOpen(t, "data", Options{FS: vfs.NewMem(), Logger: quiet})
	defer l.Close()
	live := cow.NewID()
	commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: live})
	commitOne(t, l, scriptAppend(live, 0, 0, 10))
	flushes := l.Stats().Pebble.Flush.Count
	for range maxRangeDeletes {
		id := cow.NewID()
		commitOne(t, l, cow.Group{Op: cow.OpCreate, Slot: id})
		g := scriptAppend(id, 0, 0, pointDeletes+1)
		commitOne(t, l, g)
		commitOne(t, l, cow.Group{Op: cow.OpRemove, Slot: id, Version: g.Count})
		if n, err := count(l, live, 0); n != 10 || err != nil {
			t.Fatalf("the slot that stays: %d events, %v", n, err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for l.Stats().Pebble.Flush.Count == flushes {
		if time.Now().After(deadline) {
			t.Fatalf("no flush behind %d range deletes", maxRangeDeletes)
		}
		time.Sleep(time.Millisecond)
	}
	if got := l.Stats().RangeDeletes; got != 0 {
		t.Errorf("%d range deletes behind the flush", got)
	}
	slots := 0
	if err := l.Slots(func(cow.SlotRecord) error { slots++; return nil }); slots != 1 || err != nil {
		t.Errorf("%d slots stay, %v", slots, err)
	}
}

// TestLog_CommitReadsNothing: whatever a group is about, also a slot that was
// not touched since the store was opened, Commit judges it without a read.
func TestLog_CommitReadsNothing(t *testing.T) {
	disk := vfs.NewMem()
	l := mustOpen(t, "data", Options{FS: disk, Logger: quiet})
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
	if err := l.db.Flush(); err != nil { // into a table: a look would be a read
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
	l = mustOpen(t, "data", Options{FS: fs, Logger: quiet, CacheBytes: 1, MemTableBytes: 1})
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

// TestHeads_Memory: what the heads take of each slot in memory. What other
// tests left behind is collected meanwhile, so the least of some tries counts
// against the limit; it can't be less than a key and a value.
func TestHeads_Memory(t *testing.T) {
	const n, least, limit = 200_000, 24, 64
	best := math.Inf(1)
	for range 5 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&before)
		h := make(heads)
		for range n {
			h.set(cow.NewID(), head{exists: true, count: 1, bytes: 2})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if len(h) != n {
			t.Fatalf("%d heads of %d", len(h), n)
		}
		if each := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / n; each >= least {
			best = min(best, each)
		}
	}
	t.Logf("%.1f bytes a slot", best)
	if best > limit {
		t.Errorf("%.1f bytes a slot, want at most %d", best, limit)
	}
}

// TestLog_Memory: blocks and memtables stay within what MemoryBytes says.
func TestLog_Memory(t *testing.T) {
	opts := Options{FS: vfs.NewMem(), Sync: Off, CacheBytes: 4 << 20, MemTableBytes: 2 << 20, Logger: quiet}
	l := mustOpen(t, "data", opts)
	defer l.Close()
	most := opts.CacheBytes + memTables*opts.MemTableBytes
	if got := opts.MemoryBytes(); got != most+fixedBytes {
		t.Errorf("MemoryBytes is %d, want %d", got, most+fixedBytes)
	}
	var seen int64
	for range 8 {
		id := fill(t, l, 8<<20/1000, 1000)
		if n, err := count(l, id, 0); n != 8<<20/1000 || err != nil {
			t.Fatal(n, err)
		}
		m := l.Stats().Pebble
		used := m.BlockCache.Size + int64(m.MemTable.Size) + int64(m.MemTable.ZombieSize)
		seen = max(seen, used)
	}
	if seen > most+most/4 {
		t.Errorf("cache and memtables took %d bytes, want about %d", seen, most)
	}
}

func TestFreeSpace(t *testing.T) {
	dir := t.TempDir()
	got, err := FreeSpace(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	if all := s.Blocks * uint64(s.Bsize); got == 0 || got > all {
		t.Errorf("%d of %d bytes are free", got, all)
	}
	if _, err := FreeSpace(filepath.Join(dir, "nowhere")); !os.IsNotExist(err) && err == nil {
		t.Errorf("free space of a folder that is not there: %v", err)
	}
}
