package cow_test

import (
	"errors"
	"fmt"
	"testing"

	"cowrelay/cow"
)

// Blocks, unblocks, removals and posts race; what is counted is what is there,
// before a restart and after it.
func TestBlock_Races(t *testing.T) {
	f := open(t, cow.Options{})
	var slots []*cow.Slot
	for range 20 {
		slots = append(slots, f.slot())
	}
	each := func(act func(i int, slot *cow.Slot) error) func() {
		return func() {
			for round := range 10 {
				for i, slot := range slots {
					if err := act(i+round, slot); err != nil && !errors.Is(err, cow.ErrNoSlot) {
						t.Error(err)
					}
				}
			}
		}
	}
	all(
		each(func(_ int, s *cow.Slot) error { return f.Block(s, []byte("a")) }),
		each(func(_ int, s *cow.Slot) error { return f.Block(s, []byte("b")) }),
		each(func(_ int, s *cow.Slot) error { return f.Unblock(s) }),
		each(func(i int, s *cow.Slot) error { _, err := f.post(s, ev(fmt.Sprint(i))); return err }),
		each(func(i int, s *cow.Slot) error {
			if i%7 == 3 {
				return f.Remove(s)
			}
			return nil
		}),
	)
	check := func(when string) {
		t.Helper()
		blocked, records := int64(0), int64(0)
		f.All(func(s *cow.Slot) bool {
			note, err := f.BlockNote(s)
			if err != nil || (note != nil) != s.Blocked() {
				t.Errorf("%s: slot %v is blocked: %v, its record is %q, %v", when, s.ID(), s.Blocked(), note, err)
			}
			if s.Blocked() {
				blocked++
			}
			return true
		})
		if err := f.Records().List("block/", func(string, []byte, uint64) error { records++; return nil }); err != nil {
			t.Fatal(err)
		}
		if f.BlockedSlots() != blocked || records != blocked {
			t.Errorf("%s: %d slots are blocked, %d are counted, %d have records", when, blocked, f.BlockedSlots(), records)
		}
	}
	check("after the race")
	f = f.restart()
	check("after a restart")
}
