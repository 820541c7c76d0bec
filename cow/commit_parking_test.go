package cow

import (
	"errors"
	"testing"
)

var errDisk = errors.New("bad sector")

// Posts to a cold slot wait for one load and are decided in their order. Other
// slots go on.
func TestPark_KeepsTheOrder(t *testing.T) {
	w := newWorld(t)
	slot, other := w.slotOf("a"), w.slotOf("a")
	w.cool(slot)
	parked := []*Post{w.post(slot, "b"), w.post(slot, "c")}
	w.run()
	removal := w.act(postRemove, slot)
	goes := w.post(other, "b")
	w.run()
	w.is("waits", append(parked, removal)...)
	w.is("stored", goes)
	w.wrote([]string{"append 1: b"})
	if len(w.loads) != 1 {
		t.Fatalf("%d loads", len(w.loads))
	}
	w.heat(slot, "a")
	w.land("slot", nil, nil, nil)
	w.is("stored", parked...)
	w.is("stored", removal)
	w.wrote([]string{"append 1: b c"}, []string{"remove"})
	w.nothingWaits()
}

// A load that fails answers what waits for it, and the next post tries again.
func TestPark_FailedLoad(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.cool(slot)
	parked := []*Post{w.post(slot, "b"), w.act(postRemove, slot)}
	w.run()
	// The removal does not need the slot, but it is behind one that does.
	w.land("slot", nil, nil, errDisk)
	w.is(errDisk.Error(), parked...)
	w.wrote()
	w.nothingWaits()
	p := w.post(slot, "b")
	w.run()
	w.heat(slot, "a")
	w.land("slot", nil, nil, nil)
	w.is("stored", p)
}

// A slot that the journal has no more is gone.
func TestPark_SlotIsGone(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.cool(slot)
	p := w.post(slot, "b")
	w.run()
	w.land("slot", nil, nil, ErrNoSlot)
	w.is(ErrNoSlot.Error(), p)
	if w.slots[slot.id] != nil {
		t.Error("the slot is there")
	}
	w.nothingWaits()
}

// A post waits for the chunk with which its id must be compared. What the load
// brought is kept for it, though the chunk leaves again.
func TestPark_Chunk(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	ch := slot.hot.Load().chunks[0]
	g := ch.seg.Load()
	ch.seg.Store(g.table())
	dup, fresh := w.post(slot, "a"), w.post(slot, "b")
	w.run()
	w.is("waits", dup, fresh) // the second stays behind the first
	w.land("chunk", nil, g, nil)
	w.is("duplicate", dup)
	w.is("stored", fresh)
	w.nothingWaits()
}

// Posts whose posters gave up are at most half of what is kept, or a few.
func TestPark_DropsThoseWhoGaveUp(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.cool(slot)
	stays := w.post(slot, "stays")
	for range 10_000 {
		p := w.post(slot, "")
		w.run()
		p.state.Store(postAbandoned)
		w.c.queue.leave(p)
	}
	if n := len(w.c.parking.slots[slot].posts); n > sweepFirst {
		t.Errorf("%d posts are kept for one poster", n)
	}
	w.heat(slot, "a")
	w.land("slot", nil, nil, nil)
	w.is("stored", stays)
	w.nothingWaits()
}

// A chunk fails to load while another writer is ahead. The posts are let in when
// both have ended, and the failed load is no answer: another one is begun.
func TestPark_LoadBesideACatchUp(t *testing.T) {
	for _, chunkFirst := range []bool{true, false} {
		w := newWorld(t)
		slot := w.slotOf("a")
		ch := slot.hot.Load().chunks[0]
		g := ch.seg.Load()
		fresh := w.post(slot, "b")
		w.c.gather()
		ch.seg.Store(g.table())
		dup := w.post(slot, "a")
		w.outcome = func(*Group) Outcome { return Conflict }
		w.run()
		w.outcome = nil
		ch.seg.Store(g) // for the head, which the fake eviction took as well
		if chunkFirst {
			w.land("chunk", nil, nil, errDisk)
			w.is("waits", fresh, dup)
			w.land("behind 1", nil, nil, nil)
			w.is("stored", fresh)
			w.is("duplicate", dup)
		} else {
			w.loads[0], w.loads[1] = w.loads[1], w.loads[0]
			w.land("behind 1", nil, nil, nil)
			w.is("waits", fresh, dup)
			w.land("chunk", nil, nil, errDisk)
			w.is(errDisk.Error(), fresh, dup)
		}
		w.nothingWaits()
	}
}
