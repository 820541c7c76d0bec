package replay_test

import (
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// ahead is a store that waits before each view.
type ahead struct {
	*replaytest.Store
	before func()
}

func (a *ahead) View() (replay.View, error) {
	if a.before != nil {
		a.before()
	}
	return a.Store.View()
}

// TestReads_ViewBehindAndAhead: between the list of the backlog and the view, entries of
// the list may reach the store, alone or with later ones. Whatever the view has, nothing
// is seen twice and nothing is left out.
func TestReads_ViewBehindAndAhead(t *testing.T) {
	id, other := cow.NewID(), cow.NewID()
	for name, between := range map[string]func(j *replay.Journal, g *gate){
		"view as the list": func(*replay.Journal, *gate) {},
		"list applied": func(j *replay.Journal, g *gate) {
			g.open()
			soon(t, "applied", func() bool { s := j.Stats(); return s.Applied == s.Last })
			g.close()
		},
		"more applied": func(j *replay.Journal, g *gate) {
			app := appendOf(id, 20, sizeOf(id, 20), 5, 100)
			commitAll(t, j, app, cow.Group{Op: cow.OpTouch, Slot: other, PulledAt: 7})
			_, version, _ := j.Value("a")
			if _, err := j.Put("a", []byte("three"), version, cow.Totals{}); err != nil {
				t.Error(err)
			}
			g.open()
			soon(t, "applied", func() bool { s := j.Stats(); return s.Applied == s.Last })
			g.close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			inner := replaytest.NewStore()
			inner.Before = g.at(replaytest.Apply)
			store := &ahead{Store: inner}
			j := mustOpen(t, replaytest.NewLog(0), store, options(t))
			commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, cow.Group{Op: cow.OpCreate, Slot: other}, appendOf(id, 0, 0, 10, 100))
			v, err := j.Put("a", []byte("one"), 0, cow.Totals{})
			if err != nil {
				t.Fatal(err)
			}
			soon(t, "applied", func() bool { s := j.Stats(); return s.Applied == s.Last })
			g.close()
			commitAll(t, j, appendOf(id, 10, sizeOf(id, 10), 5, 100))
			commitAll(t, j, appendOf(id, 15, sizeOf(id, 15), 5, 100), cow.Group{Op: cow.OpTouch, Slot: other, PulledAt: 5})
			if _, err := j.Put("a", []byte("two"), v, cow.Totals{}); err != nil {
				t.Fatal(err)
			}
			once := func(read func()) {
				store.before = func() { store.before = nil; between(j, g) }
				read()
				if store.before != nil {
					t.Error("the read took no view")
				}
				store.before = nil
			}
			grown := func(n int) bool { return n == 20 || name == "more applied" && n == 25 }
			once(func() {
				if n, err := loadCount(j, id, 3); err != nil || !grown(n+3) {
					t.Errorf("load: %d events, %v", n, err)
				}
			})
			if name == "more applied" { // that is done once
				between = func(*replay.Journal, *gate) {}
			}
			once(func() {
				j.Slots(func(r cow.SlotRecord) error {
					if r.Slot == id && !grown(int(r.Count)) || r.Slot == other && r.PulledAt != 5 && r.PulledAt != 7 {
						t.Errorf("Slots: %+v", r)
					}
					return nil
				})
			})
			once(func() {
				n := 0
				j.List("", func(key string, value []byte, _ uint64) error {
					if n++; string(value) != "two" && string(value) != "three" {
						t.Errorf("List: %q %q", key, value)
					}
					return nil
				})
				if n != 1 {
					t.Errorf("List gave %d records", n)
				}
			})
			g.open()
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// sizeOf is how many bytes the first n events of a slot have.
func sizeOf(id cow.ID, n uint64) uint64 { return appendOf(id, 0, 0, int(n), 100).Bytes }

// TestReads_KeepTheirBytes: what a read was given stays as it is until the read ends,
// also when the store has it by then and commits go on. So do the values of records.
func TestReads_KeepTheirBytes(t *testing.T) {
	opts := options(t)
	opts.Backlog = 4 << 20 // chunks as large as those of a relay, which are used again
	j := mustOpen(t, replaytest.NewLog(0), replaytest.NewStore(), opts)
	defer j.Close()
	id, other := cow.NewID(), cow.NewID()
	commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, cow.Group{Op: cow.OpCreate, Slot: other}, appendOf(id, 0, 0, 10, 100))
	if _, err := j.Put("k", []byte(strings.Repeat("v", 1000)), 0, cow.Totals{}); err != nil {
		t.Fatal(err)
	}
	value, _, err := j.Value("k")
	if err != nil {
		t.Fatal(err)
	}
	if s := j.Stats(); s.Applied != 0 {
		t.Fatal("the store has it already")
	}
	var count, bytes uint64
	err = j.Load(id, 0, func(a *cow.Append) error {
		for range 12 { // megabytes, each a chunk
			g := appendOf(other, count, bytes, 4, 1<<18)
			commitAll(t, j, g)
			count, bytes = g.Count, g.Bytes
		}
		soon(t, "the store has it", func() bool { return j.Stats().Applied >= 8 })
		for i, e := range a.Events {
			if want := replaytest.Event(id, a.First+uint64(i), 100); string(e.JSON) != string(want.JSON) {
				t.Errorf("position %d became %.100q", a.First+uint64(i), e.JSON)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 12 { // now chunks are used again
		g := appendOf(other, count, bytes, 4, 1<<18)
		commitAll(t, j, g)
		count, bytes = g.Count, g.Bytes
	}
	if string(value) != strings.Repeat("v", 1000) {
		t.Errorf("the value became %.100q", value)
	}
}
