package cow_test

import (
	"errors"
	"testing"
	"time"

	"cowrelay/cow"
)

// A block wakes who reads, outlives a restart, and goes with the slot.
func TestBlock(t *testing.T) {
	f := open(t, cow.Options{})
	slot, other, third := f.slot(), f.slot(), f.slot()
	f.must(slot, ev("a"))
	live := f.subscribe(slot, false, "")
	defer live.Close()
	if slot.Subscribers() != 1 || other.Subscribers() != 0 {
		t.Errorf("subscribers: %d and %d", slot.Subscribers(), other.Subscribers())
	}
	for _, note := range []string{"first", "why"} {
		if err := f.Block(slot, []byte(note)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Block(third, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-live.bell:
	case <-time.After(time.Minute):
		t.Error("a block does not wake who reads")
	}
	f = f.restart()
	slot, other, third = f.Slot(slot.ID()), f.Slot(other.ID()), f.Slot(third.ID())
	if !slot.Blocked() || other.Blocked() || !third.Blocked() || f.BlockedSlots() != 2 {
		t.Errorf("after a restart: %v, %v, %v, %d blocked", slot.Blocked(), other.Blocked(), third.Blocked(), f.BlockedSlots())
	}
	if note, err := f.BlockNote(slot); err != nil || string(note) != "why" {
		t.Errorf("note %q, %v", note, err)
	}
	for range 2 {
		if err := f.Unblock(slot); err != nil {
			t.Fatal(err)
		}
	}
	if note, err := f.BlockNote(slot); slot.Blocked() || note != nil || err != nil {
		t.Errorf("unblocked: %v, note %q, %v", slot.Blocked(), note, err)
	}
	if err := f.Remove(third); err != nil {
		t.Fatal(err)
	}
	if err := f.Block(third, nil); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("block of a removed slot: %v", err)
	}
	if note, err := f.BlockNote(third); note != nil || err != nil || f.BlockedSlots() != 0 {
		t.Errorf("after a removal: note %q, %v, %d blocked", note, err, f.BlockedSlots())
	}
	seen := 0
	f.All(func(*cow.Slot) bool { seen++; return true })
	if seen != 2 {
		t.Errorf("All yields %d slots of 2", seen)
	}
	f.close()
	if err := f.Block(slot, nil); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("block of a closed store: %v", err)
	}
}
