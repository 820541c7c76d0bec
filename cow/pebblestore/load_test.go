package pebblestore

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// load reads a slot's events in a view of its own.
func load(s *Store, slot cow.ID, from uint64) (events []event.Event, err error) {
	v, err := s.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	err = v.Load(slot, from, func(a *cow.Append) error { events = append(events, a.Events...); return nil })
	return events, err
}

// TestStore_SlotDamage changes keys behind the store's back, as a fault in this
// package would. A load names slot, position and folder and is never short;
// other slots go on.
func TestStore_SlotDamage(t *testing.T) {
	id, healthy := cow.NewID(), cow.NewID()
	key := func(pos uint64) []byte { k := eventKey(id, pos); return k[:] }
	part := func(p byte) []byte { k := slotKey(id, p); return k[:] }
	set := func(k, v []byte) func(*Store) error {
		return func(s *Store) error { return s.db.Set(k, v, pebble.NoSync) }
	}
	del := func(k []byte) func(*Store) error {
		return func(s *Store) error { return s.db.Delete(k, pebble.NoSync) }
	}
	// A slot has 600 events in values of 20 each: at 0, 20, 40 and so on.
	var events []event.Event
	for pos := range uint64(600) {
		e := scriptEvent(id, cow.TokenHash{}, pos%40) // no large ones
		events = append(events, e)
	}
	group := func(from, to int) []byte { return appendGroup(nil, events[from:to]) }
	tests := []struct {
		name   string
		change func(*Store) error
		from   uint64
		want   string
	}{
		{"gap", del(key(20)), 0, "no event at position 20"},
		{"gap at from", del(key(20)), 20, "no event at position 20"},
		{"gap around from", del(key(20)), 27, "no event at position 27"},
		{"no start", del(key(0)), 0, "no event at position 0"},
		{"no start, from behind it", del(key(0)), 7, "no event at position 7"},
		{"short", del(key(580)), 0, "no event at position 580"},
		{"short value", set(key(40), group(40, 59)), 0, "no event at position 59"},
		{"short last value", set(key(580), group(580, 599)), 0, "no event at position 599"},
		{"long value", set(key(40), group(40, 61)), 0, "two events at position 60"},
		{"long last value", set(key(580), group(579, 600)), 0, "event at position 600, where its record ends"},
		{"twice", set(key(45), group(45, 47)), 0, "two events at position 45"},
		{"long", set(key(600), []byte("\x00{}")), 0, "event at position 600"},
		{"long at end", set(key(600), []byte("\x00{}")), 600, "event at position 600"},
		{"bytes", set(key(580), group(560, 580)), 0, "bytes of events"},
		{"event", set(key(300), []byte("nonsense")), 0, "position 300"},
		{"empty value", set(key(300), nil), 0, "position 300"},
		{"group of none", set(key(300), []byte{groupMark}), 0, "position 300"},
		{"cut value", set(key(300), group(300, 320)[:1000]), 0, "position 30"},
		{"cut value before from", set(key(300), group(300, 320)[:1000]), 319, "position 30"},
		{"id offset", set(key(300), []byte("\x7f{}")), 0, "position 300"},
		{"counts", set(part(partCounts), []byte{0xff}), 0, "record of slot"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
			defer s.Close()
			seq := uint64(0)
			for _, slot := range []cow.ID{id, healthy} {
				r := cow.SlotRecord{Slot: slot}
				for first := 0; first < 600; first += 20 {
					g := replay.Group{Op: cow.OpAppend, Slot: slot, First: r.Count, Events: events[first : first+20]}
					for _, e := range g.Events {
						r.Bytes += uint64(len(e.JSON))
					}
					r.Count += 20
					g.Count, g.Bytes = r.Count, r.Bytes
					seq++
					mustApply(t, s, &replay.Batch{Seq: seq, Groups: []replay.Group{g}})
				}
			}
			if err := test.change(s); err != nil {
				t.Fatal(err)
			}
			got, err := load(s, id, test.from)
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("load: %v, want ErrCorrupt", err)
			}
			if len(got) > 600-int(test.from) {
				t.Errorf("the load gave %d events", len(got))
			}
			for _, want := range []string{test.want, id.String(), `"data"`, "backup"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			got, err = load(s, healthy, 0)
			if len(got) != 600 || err != nil {
				t.Errorf("the other slot: %d events, %v", len(got), err)
			}
			for i := range got {
				if got[i].IDOff != events[i].IDOff || len(got[i].JSON) == 0 {
					t.Fatalf("the other slot: position %d holds %.200s", i, got[i].JSON)
				}
			}
		})
	}
	for name, change := range map[string]func(*Store) error{
		"no token":    del(part(partToken)),
		"no counts":   del(part(partCounts)),
		"short token": set(part(partToken), []byte("x")),
		"pulled":      set(part(partPulled), nil),
		"absurd":      set(part(partCounts), appendPair(nil, 5, 3)),
	} {
		s := mustOpen(t, "data", small(Options{FS: vfs.NewMem(), Logger: quiet}))
		mustApply(t, s, &replay.Batch{Seq: 1, Groups: []replay.Group{{Op: cow.OpCreate, Slot: id}}})
		if err := change(s); err != nil {
			t.Fatal(err)
		}
		v, err := s.View()
		if err != nil {
			t.Fatal(err)
		}
		err = v.Slots(func(cow.SlotRecord) error { return nil })
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), id.String()) {
			t.Errorf("%s: Slots: %v, want ErrCorrupt that names the slot", name, err)
		}
		v.Close()
		s.Close()
	}
}
