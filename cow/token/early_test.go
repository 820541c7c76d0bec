package token

import (
	"fmt"
	"testing"
)

// Records that come before their slots are kept: the newest of each place, and none
// that was deleted.
func TestBooks_Early(t *testing.T) {
	b := NewBooks(1<<20, nil)
	slot, other := SlotID{1}, SlotID{2}
	show := func(list []Early) (out string) {
		for _, e := range list {
			out += fmt.Sprintf(" %d:%s@%d", e.Spot.Place, e.Value, e.Version)
		}
		return out
	}
	value := []byte("a")
	b.KeepEarly(Spot{slot, 1}, value, 5, false)
	value[0] = 'x' // it is the caller's
	b.KeepEarly(Spot{slot, 1}, []byte("older"), 4, true)
	b.KeepEarly(Spot{slot, 2}, []byte("b"), 6, false)
	b.KeepEarly(Spot{slot, 2}, []byte("c"), 7, false)
	b.KeepEarly(Spot{slot, 3}, []byte("d"), 8, false)
	b.KeepEarly(Spot{slot, 3}, nil, 0, false)
	b.KeepEarly(Spot{slot, 3}, []byte("d"), 8, true) // read from a list that is older than the deletion
	b.KeepEarly(Spot{other, 1}, []byte("e"), 9, true)
	if got := show(b.TakeEarly(slot)); got != " 1:a@5 2:c@7" {
		t.Errorf("kept is%s", got)
	}
	if got := show(b.TakeEarly(slot)); got != "" {
		t.Errorf("kept is still%s", got)
	}
	b.Loaded()
	for i := range mostEarly + 10 {
		b.KeepEarly(Spot{SlotID{3, byte(i), byte(i >> 8)}, 1}, []byte("f"), 1, false)
	}
	if b.earlyCount != mostEarly {
		t.Errorf("%d are kept", b.earlyCount)
	}
	if got := show(b.TakeEarly(other)); got != " 1:e@9" {
		t.Errorf("kept is%s", got)
	}
	if b.earlyCount != mostEarly-1 {
		t.Errorf("%d are kept", b.earlyCount)
	}
}
