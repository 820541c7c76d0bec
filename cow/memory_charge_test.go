package cow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"cowrelay/cow"
)

// What is charged counts as the slots' memory does: slots leave until both fit, and
// nothing of it stays when it is given back.
func TestCharge_SlotsMakeRoom(t *testing.T) {
	const budget = 4 << 20
	f := open(t, cow.Options{MemoryBudget: budget})
	slots := make([]*cow.Slot, 30)
	for i := range slots {
		slots[i] = f.slot()
		for n := range 10 {
			if _, err := f.post(slots[i], fmt.Sprintf(`{"event_id":"e%d","p":"%s"}`, n, strings.Repeat("x", 10_000))); err != nil {
				t.Fatal(err)
			}
		}
	}
	const charge = budget / 2
	f.Charge(charge)
	// What was evicted counts until the collector has run, which nobody else asks for.
	waitFor(t, "slots to make room", func() bool {
		runtime.GC()
		m := f.Memory()
		return m.Used+m.Retired <= budget
	})
	m := f.Memory()
	if m.Desk != charge || m.Used < charge || m.EvictedSlots == 0 {
		t.Errorf("%+v", m)
	}
	f.Charge(-charge)
	if after := f.Memory(); after.Desk != 0 || after.Used > m.Used-charge {
		t.Errorf("%+v, after %+v", after, m)
	}
}
