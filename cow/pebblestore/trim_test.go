package pebblestore

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// TestTrim_Format: the store gets the format that knows trims with the first trim and not
// before, and keeps it. So older programs open it as long as they can read it.
func TestTrim_Format(t *testing.T) {
	opts := small(Options{FS: vfs.NewMem(), Logger: quiet})
	st := mustOpen(t, "data", opts)
	format := func() uint64 {
		t.Helper()
		f, err := st.meta(st.db, metaFormat)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	r := cow.SlotRecord{Slot: cow.ID{1}}
	mustApply(t, st, &replay.Batch{Seq: 1, Groups: []replay.Group{{Op: cow.OpCreate, Slot: r.Slot}, appendTo(&r, 9)}})
	if f := format(); f != formatVersion {
		t.Errorf("format %d before a trim, want %d", f, formatVersion)
	}
	mustApply(t, st, &replay.Batch{Seq: 2, Groups: []replay.Group{trimOf(&r, 4)}})
	if f := format(); f != formatTrimmed {
		t.Errorf("format %d behind a trim, want %d", f, formatTrimmed)
	}
	if err := errors.Join(st.Flush(), st.Close()); err != nil {
		t.Fatal(err)
	}
	st = mustOpen(t, "data", opts)
	if f := format(); f != formatTrimmed {
		t.Errorf("format %d after a restart, want %d", f, formatTrimmed)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTrim_LeavesNothing: no byte of an event that has left is in the store's keys, also
// where it shared a value with events that stay.
func TestTrim_LeavesNothing(t *testing.T) {
	st := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
	defer st.Close()
	r := cow.SlotRecord{Slot: cow.ID{1}}
	seq := uint64(1)
	mustApply(t, st, &replay.Batch{Seq: seq, Groups: []replay.Group{{Op: cow.OpCreate, Slot: r.Slot}, appendTo(&r, 300)}})
	for _, n := range []uint64{1, 40, 3, 200, 55, 1} {
		seq++
		mustApply(t, st, &replay.Batch{Seq: seq, Groups: []replay.Group{trimOf(&r, n)}})
		low, high := eventKey(r.Slot, 0), eventsEnd(r.Slot)
		it, err := st.db.NewIter(nil)
		if err != nil {
			t.Fatal(err)
		}
		size := uint64(0)
		for ok := it.SeekGE(low[:]); ok && bytes.Compare(it.Key(), high[:]) < 0; ok = it.Next() {
			group, err := readGroup(it.Value())
			for ; err == nil && group.more(); size++ {
				_, err = group.next()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		if size != r.Count-r.First {
			t.Errorf("behind a trim to %d the store has %d events, want %d", r.First, size, r.Count-r.First)
		}
		if v, err := st.View(); err != nil {
			t.Fatal(err)
		} else if err := errors.Join(readSlot(v, r, 0), readSlot(v, r, r.First), v.Close()); err != nil {
			t.Error(err)
		}
	}
}
