package cow

import "testing"

// A trim that comes between a load that an append overtook and its recount leaves the
// count as it is: by that the recount sees that the append is to be caught up with.
func TestTrim_KeepsTheCountOfAnOvertakenLoad(t *testing.T) {
	s, slot, h := bareSlot()
	e := commitEnv{budget: s.budget, stats: &s.stats}
	for range 4 {
		s.budget.add(memChunk, h.add(rawEvent(100)))
	}
	h.publish()
	e.tally(slot, 0, 5, 500)
	for _, to := range []uint64{2, 3} {
		e.trim(slot, to, (to-uint64(slot.first.Load()))*100)
		if first, end := uint64(slot.first.Load()), slot.count.Load(); first != to || end != 5 {
			t.Errorf("behind a trim to %d the slot has positions %d to %d, want %d to 5", to, first, end, to)
		}
		if h.first != to || h.count != 4 {
			t.Errorf("in memory are positions %d to %d, want %d to 4", h.first, h.count, to)
		}
	}
	e.trim(slot, 5, 200)
	if first, end := uint64(slot.first.Load()), slot.count.Load(); first != 5 || end != 5 || h.count != 5 || slot.bytes.Load() != 0 {
		t.Errorf("behind a trim of all there are positions %d to %d, %d bytes", first, end, slot.bytes.Load())
	}
}
