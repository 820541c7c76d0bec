package cow_test

import (
	"errors"
	"testing"

	"cowrelay/cow"
)

// A fault while a slot or chunk is read fails that load: whoever wants it hears
// so, the next one may find it well, and the others have noticed nothing.
func TestLoad_FaultCostsThatLoad(t *testing.T) {
	f := open(t, cow.Options{})
	cold := f.coldSlots(2)
	chunked := f.slot()
	f.fill(chunked, 0, 20)
	f.fill(chunked, 20, 400)
	f.EvictChunks(chunked)
	wants := map[string]func() error{
		"a window": func() error { return f.Window(cold[0], cow.Oldest(), 10, new(cow.Window)) },
		"a post":   func() error { _, err := f.post(cold[0], `{"event_id":"new"}`); return err },
		"a chunk":  func() error { return f.Window(chunked, cow.Oldest(), 10, new(cow.Window)) },
		"lines":    func() error { _, _, err := f.ReadLines(nil, cold[0], 0, 1, 1<<20); return err },
	}
	n := uint64(0)
	f.m.OnLoad(func(id cow.ID, _ uint64) error {
		if id == cold[1].ID() {
			return nil
		}
		panic("BUG: a test's")
	})
	for name, want := range wants {
		if err := want(); err == nil || errors.Is(err, cow.ErrNoSlot) {
			t.Errorf("%s: %v behind a fault", name, err)
		}
		if n++; f.Stats().Panics.Load() != n {
			t.Errorf("%s: %d panics are counted, want %d", name, f.Stats().Panics.Load(), n)
		}
	}
	if err := f.Window(cold[1], cow.Oldest(), 10, new(cow.Window)); err != nil {
		t.Errorf("another slot: %v", err)
	}
	f.m.OnLoad(nil)
	for name, want := range wants {
		if err := want(); err != nil {
			t.Errorf("%s: %v when all is well again", name, err)
		}
	}
}
