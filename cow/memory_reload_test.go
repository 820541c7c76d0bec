package cow_test

import (
	"errors"
	"strings"
	"testing"

	"cowrelay/cow"
)

func payloads(slot cow.ID, from, to uint64) []string {
	var list []string
	for pos := from; pos < to; pos++ {
		list = append(list, payload(slot, pos))
	}
	return list
}

func array(events []string) string { return "[" + strings.Join(events, ",") + "]" }

// A reader that has loaded the head and not yet the bytes is overtaken: its
// last chunk is filled up, sealed and evicted, or the slot goes cold. It reads
// what its snapshot shows all the same.
func TestReload_I1_ReaderThatIsOvertaken(t *testing.T) {
	f := open(t, cow.Options{})
	for name, overtake := range map[string]func(*cow.Slot){
		"cold at once":    func(s *cow.Slot) { f.Cool(s) },
		"sealed, evicted": func(s *cow.Slot) { f.fill(s, 20, 400); f.EvictChunks(s) },
		"longer, cold":    func(s *cow.Slot) { f.fill(s, 20, 25); f.Cool(s) },
		"cold, hot, longer": func(s *cow.Slot) {
			f.Cool(s)
			f.fill(s, 20, 400)
			f.EvictChunks(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			slot := f.slot()
			f.fill(slot, 0, 20)
			read := f.Snapshot(slot)
			overtake(slot)
			got, err := read()
			if want := array(payloads(slot.ID(), 0, 20)); err != nil || got != want {
				t.Fatalf("error %v, %d bytes; want the %d bytes of the snapshot", err, len(got), len(want))
			}
			// And the others are not misled by what that reader has loaded.
			f.holds(slot, payloads(slot.ID(), 0, slot.Count())...)
		})
	}
	if n := f.Stats().LoadErrors.Load(); n != 0 {
		t.Errorf("%d loads failed", n)
	}
}

// Two readers want the same evicted chunk, with and without its last events:
// one load serves both.
func TestReload_OneLoadForReadersOfDifferentSnapshots(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 20)
	old := f.Snapshot(slot)
	f.fill(slot, 20, 400)
	f.EvictChunks(slot)
	release := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-release; return nil })
	results := make(chan error, 2)
	check := func(text string, err error, want string) {
		if err == nil && text != want {
			err = errors.New("other bytes")
		}
		results <- err
	}
	go func() {
		text, err := old()
		check(text, err, array(payloads(slot.ID(), 0, 20)))
	}()
	f.until("the load to begin", func() bool { return f.m.Loads() > 0 })
	go func() {
		text, err := f.tryPage(slot, "", 1000)
		check(text, err, array(payloads(slot.ID(), 0, 400)))
	}()
	close(release)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// A load that fails is an error for those that wait for it, is not kept, and the slot never
// looks empty.
func TestReload_FailureIsAnErrorAndForgotten(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 300)
	broken := errors.New("bad sector")
	f.m.OnLoad(func(cow.ID, uint64) error { return broken })
	for name, leave := range map[string]func(){
		"chunks": func() { f.EvictChunks(slot) },
		"slot":   func() { f.Cool(slot) },
	} {
		leave()
		f.m.OnLoad(func(cow.ID, uint64) error { return broken })
		if text, err := f.tryPage(slot, "", 10); !errors.Is(err, broken) {
			t.Errorf("%s: window %q, error %v; want the load's error", name, text, err)
		}
		if _, err := f.tryPage(slot, payloadID(slot.ID(), 3), 10); !errors.Is(err, broken) {
			t.Errorf("%s: since: error %v; want the load's error", name, err)
		}
		if name == "slot" {
			if _, err := f.post(slot, ev("new")); !errors.Is(err, broken) {
				t.Errorf("post: error %v, want the load's", err)
			}
		}
		if n := slot.Count(); n != 300 {
			t.Errorf("%s: the slot counts %d events", name, n)
		}
		f.m.OnLoad(nil)
		f.holds(slot, payloads(slot.ID(), 0, 300)...)
	}
}

// A journal that gives less, more or other positions than the slot counts is
// an error, never a short slot.
func TestReload_ShortSlotIsAnError(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	f.must(slot, ev("b"))
	f.Cool(slot)
	short := &shortJournal{Memory: f.m, keep: 1}
	g, err := cow.Open(short, f.m, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var w cow.Window
	if err := g.Window(g.Slot(slot.ID()), cow.Oldest(), 10, &w); err == nil || w.Events() != 0 {
		t.Fatalf("a slot of 2 events that came back with 1: error %v, %d events", err, w.Events())
	}
	short.keep = 2
	if err := g.Window(g.Slot(slot.ID()), cow.Oldest(), 10, &w); err != nil || w.Events() != 2 {
		t.Fatalf("the whole slot: error %v, %d events", err, w.Events())
	}
}

// Holds answers from memory alone: what has left memory is not loaded for it.
func TestHolds_LoadsNothing(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 400)
	first, last := []byte(payloadID(slot.ID(), 0)), []byte(payloadID(slot.ID(), 399))
	if !f.Holds(slot, first) || !f.Holds(slot, last) || f.Holds(slot, []byte("another")) {
		t.Error("what is in memory is not known")
	}
	f.EvictChunks(slot)
	if f.Holds(slot, first) {
		t.Error("the event of a chunk that has left memory is known")
	}
	f.Cool(slot)
	if f.Holds(slot, first) || f.Holds(slot, last) {
		t.Error("an event of a cold slot is known")
	}
	if s := f.Stats(); s.SlotLoads.Load() != 0 || s.ChunkLoads.Load() != 0 {
		t.Errorf("%d slots and %d chunks were loaded", s.SlotLoads.Load(), s.ChunkLoads.Load())
	}
}
