package pebblestore

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// TestStore_RangeDeletes: range deletes don't gather in memory (see flush.go).
func TestStore_RangeDeletes(t *testing.T) {
	s := mustOpen(t, "data", Options{FS: vfs.NewMem(), Logger: quiet})
	defer s.Close()
	live := cow.SlotRecord{Slot: cow.NewID()}
	mustApply(t, s, &replay.Batch{Seq: 1, Groups: []replay.Group{{Op: cow.OpCreate, Slot: live.Slot}, appendTo(&live, 10)}})
	flushes := s.Stats().Pebble.Flush.Count
	for seq := uint64(2); seq < 2+2*maxRangeDeletes; seq += 2 {
		r := cow.SlotRecord{Slot: cow.NewID()}
		mustApply(t, s, &replay.Batch{Seq: seq, Groups: []replay.Group{{Op: cow.OpCreate, Slot: r.Slot}, appendTo(&r, pointDeletes+1)}})
		mustApply(t, s, &replay.Batch{Seq: seq + 1, Groups: []replay.Group{{Op: cow.OpRemove, Slot: r.Slot, Count: r.Count}}})
		if events, err := load(s, live.Slot, 0); len(events) != 10 || err != nil {
			t.Fatalf("the slot that stays: %d events, %v", len(events), err)
		}
	}
	deadline := time.Now().Add(time.Minute)
	for s.Stats().Pebble.Flush.Count == flushes {
		if time.Now().After(deadline) {
			t.Fatalf("no flush behind %d range deletes", maxRangeDeletes)
		}
		time.Sleep(time.Millisecond)
	}
	if got := s.Stats().RangeDeletes; got != 0 {
		t.Errorf("%d range deletes behind the flush", got)
	}
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	slots := 0
	if err := v.Slots(func(cow.SlotRecord) error { slots++; return nil }); slots != 1 || err != nil {
		t.Errorf("%d slots stay, %v", slots, err)
	}
}

// TestStore_Memory: blocks and memtables stay within what MemoryBytes says.
func TestStore_Memory(t *testing.T) {
	opts := Options{FS: vfs.NewMem(), CacheBytes: 4 << 20, MemTableBytes: 2 << 20, Logger: quiet}
	s := mustOpen(t, "data", opts)
	defer s.Close()
	most := opts.CacheBytes + memTables*opts.MemTableBytes
	if got := opts.MemoryBytes(); got != most+fixedBytes {
		t.Errorf("MemoryBytes is %d, want %d", got, most+fixedBytes)
	}
	p := newPoster(t, s, 8, 1000)
	var seen int64
	batches := 64
	if raceEnabled {
		batches = 16
	}
	for range batches {
		b, _ := p.next(1 << 20)
		mustApply(t, s, b)
		r := p.slots[p.rng.IntN(len(p.slots))]
		if events, err := load(s, r.Slot, 0); uint64(len(events)) != r.Count || err != nil {
			t.Fatal(len(events), r.Count, err)
		}
		m := s.Stats().Pebble
		seen = max(seen, m.BlockCache.Size+int64(m.MemTable.Size)+int64(m.MemTable.ZombieSize))
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
