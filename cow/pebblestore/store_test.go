package pebblestore

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// TestStore_History applies batches, and finds after each the state that a model
// has, also behind flushes, compactions and a clean stop.
func TestStore_History(t *testing.T) {
	disk := vfs.NewMem()
	s := newScript(1)
	st := mustOpen(t, "data", small(Options{FS: disk, Logger: quiet}))
	steps := 300
	if testing.Short() {
		steps = 130 // three starts, flushes and compactions; the plain run takes more
	}
	for i := range steps {
		if err := s.step(st); err != nil {
			t.Fatal(err)
		}
		switch {
		case i%40 == 39:
			if err := st.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := st.Durable(); got != s.states[i+1].seq {
				t.Fatalf("durable is %d behind a flush, want %d", got, s.states[i+1].seq)
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			st = mustOpen(t, "data", small(Options{FS: disk, Logger: quiet}))
			if got := st.Durable(); got != s.states[i+1].seq {
				t.Fatalf("durable is %d behind a start, want %d", got, s.states[i+1].seq)
			}
		case i%40 == 20:
			if err := st.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
				t.Fatal(err)
			}
		}
		got, err := read(st)
		if err != nil {
			t.Fatalf("behind batch %d: %v", i, err)
		}
		if !got.equal(s.states[i+1]) {
			t.Fatalf("behind batch %d the store holds\n%+v\nwant\n%+v", i, got, s.states[i+1])
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestStore_ViewIsOneMoment: a view stays as it was, whatever is applied meanwhile.
func TestStore_ViewIsOneMoment(t *testing.T) {
	st := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
	defer st.Close()
	r := cow.SlotRecord{Slot: cow.NewID()}
	create := replay.Group{Op: cow.OpCreate, Slot: r.Slot}
	mustApply(t, st, &replay.Batch{Seq: 1, Groups: []replay.Group{create, appendTo(&r, 5)}, Totals: cow.Totals{EventsPosted: 5}})
	v, err := st.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	mustApply(t, st, &replay.Batch{Seq: 2, Groups: []replay.Group{{Op: cow.OpRemove, Slot: r.Slot, Count: 5}}})
	if v.Applied() != 1 {
		t.Errorf("the view's applied number is %d, want 1", v.Applied())
	}
	if got, err := v.Totals(); err != nil || got.EventsPosted != 5 {
		t.Errorf("the view's totals are %+v, %v", got, err)
	}
	if err := readSlot(v, r, 0); err != nil {
		t.Error(err)
	}
	later, err := st.View()
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if err := later.Load(r.Slot, 0, nil); err != cow.ErrNoSlot {
		t.Errorf("load of a removed slot: %v, want ErrNoSlot", err)
	}
}

// TestStore_New: until LogMade a store says at each start that it has no log.
func TestStore_New(t *testing.T) {
	disk := vfs.NewCrashableMem()
	for range 2 {
		st := mustOpen(t, "data", small(Options{FS: disk, Logger: quiet}))
		if !st.New() {
			t.Fatal("a store without a log is not new")
		}
		st.Close()
	}
	st := mustOpen(t, "data", small(Options{FS: disk, Logger: quiet}))
	if err := st.LogMade(); err != nil {
		t.Fatal(err)
	}
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	st.Close()
	again := mustOpen(t, "data", small(Options{FS: crashed, Logger: quiet}))
	defer again.Close()
	if again.New() {
		t.Fatal("a store with a log is new after a crash")
	}
}

// TestStore_BatchThatContradictsItself is refused whole.
func TestStore_BatchThatContradictsItself(t *testing.T) {
	st := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
	defer st.Close()
	r := cow.SlotRecord{Slot: cow.NewID()}
	good := appendTo(&r, 3)
	behind := appendTo(&r, 2)
	for name, spoil := range map[string]func(g *replay.Group){
		"no events":  func(g *replay.Group) { g.Events = nil },
		"a gap":      func(g *replay.Group) { g.First++; g.Count++ },
		"a repeat":   func(g *replay.Group) { g.First--; g.Count-- },
		"its count":  func(g *replay.Group) { g.Count++ },
		"unknown op": func(g *replay.Group) { g.Op = 99 },
	} {
		bad := behind
		spoil(&bad)
		if err := st.Apply(&replay.Batch{Seq: 1, Groups: []replay.Group{good, bad}}); err == nil {
			t.Errorf("%s: the batch was applied", name)
		}
	}
	v, err := st.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Load(r.Slot, 0, nil); !errors.Is(err, cow.ErrNoSlot) || v.Applied() != 0 {
		t.Errorf("refused batches left a slot, %v, and the number %d", err, v.Applied())
	}
}
