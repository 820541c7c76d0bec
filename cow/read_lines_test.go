package cow_test

import (
	"errors"
	"strings"
	"testing"

	"cowrelay/cow"
)

// TestStore_ReadLines reads a slot in pieces of all sizes, from everywhere, and
// leaves it cold.
func TestStore_ReadLines(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const n = 20
	f.fill(slot, 0, n)
	var want []string
	for pos := range uint64(n) {
		want = append(want, payload(slot.ID(), pos)+"\n")
	}
	f = f.restart()
	slot = f.Slot(slot.ID())
	for _, most := range []int{0, 1, len(want[0]), 100, 1000, 1 << 20} {
		for from := range uint64(n + 2) {
			for _, to := range []uint64{0, 1, 7, n, n + 5} {
				var got []byte
				for next := from; next < min(to, n); {
					piece, at, err := f.ReadLines(nil, slot, next, to, most)
					if err != nil || at <= next || at > to {
						t.Fatalf("read of %d to %d: up to %d, %v", next, to, at, err)
					}
					if len(piece) > most && at > next+1 {
						t.Fatalf("%d events of %d bytes, %d were asked for", at-next, len(piece), most)
					}
					got, next = append(got, piece...), at
				}
				if text := strings.Join(want[min(from, n):max(min(from, n), min(to, n))], ""); string(got) != text {
					t.Fatalf("%d to %d in pieces of %d: %q, want %q", from, to, most, got, text)
				}
			}
		}
	}
	if slot.Hot() {
		t.Error("an export made the slot hot")
	}
	if out, _, err := f.ReadLines([]byte("x"), slot, 1, 2, 0); string(out) != "x"+want[1] || err != nil {
		t.Errorf("appended: %q, %v", out, err)
	}
	if err := f.Remove(slot); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.ReadLines(nil, slot, 0, n, 100); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("of a removed slot: %v", err)
	}
	f.close() // and the journal with it
	if _, _, err := f.ReadLines(nil, slot, 0, n, 100); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
}
