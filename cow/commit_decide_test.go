package cow

import (
	"fmt"
	"strings"
	"testing"
)

// I5: an id is new once. It is a duplicate in the batch that brings it, and
// afterwards; an event without an id is always new.
func TestDecide_I5_Duplicates(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	fresh := w.post(slot, "b")
	again := w.post(slot, "b")
	known := w.post(slot, "a")
	plain := []*Post{w.post(slot, ""), w.post(slot, "")}
	w.run()
	w.is("stored", fresh)
	w.is("duplicate", again, known)
	w.is("stored", plain...)
	w.wrote([]string{"append 1: b  "})
	if n := w.stats.PostsDuplicate.Load(); n != 2 {
		t.Errorf("%d duplicates are counted", n)
	}
	w.nothingWaits()
}

// What the journal gets of an append is what the slot will be.
func TestDecide_GroupOfAnAppend(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a", "b")
	var g Group
	w.outcome = func(got *Group) Outcome { g = *got; return Stored }
	w.post(slot, "c")
	w.post(slot, "d")
	w.run()
	size := uint64(len(eventOf("a").JSON))
	if g.Op != OpAppend || g.Slot != slot.id || g.First != 2 || g.Count != 4 || g.Bytes != 4*size || g.Version != w.version-1 || g.Mark == 0 {
		t.Errorf("the group is %+v", g)
	}
	if slot.count.Load() != 4 || slot.bytes.Load() != 4*size || w.stats.Events.Load() != 4 || w.stats.Bytes.Load() != int64(4*size) {
		t.Errorf("counted are %d events of %d bytes", slot.count.Load(), slot.bytes.Load())
	}
}

// The quota is decided with what the batch holds already, and after the
// question whether the slot has the id.
func TestDecide_I5_Quota(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	slot.hot.Load().appender.bytes = MaxSlotBytes - uint64(len(eventOf("b").JSON))
	fits := w.post(slot, "b")
	over := w.post(slot, "c")
	known := []*Post{w.post(slot, "a"), w.post(slot, "b")}
	w.run()
	w.is("stored", fits)
	w.is(ErrSlotFull.Error(), over)
	w.is("duplicate", known...)
	w.wrote([]string{"append 1: b"})
}

// As many slots are made as there may be, those that are being made included.
func TestDecide_SlotsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.most = 2
	var posts []*Post
	for range 3 {
		posts = append(posts, w.act(postCreate, &Slot{id: NewID()}))
	}
	w.run()
	w.is("stored", posts[:2]...)
	w.is(ErrTooManySlots.Error(), posts[2])
	w.wrote([]string{"create", "create"})
	w.nothingWaits()
}

// A removal waits for an append of the same batch. What comes when the removal is
// decided waits for that, and finds no slot.
func TestDecide_Removal(t *testing.T) {
	w := newWorld(t)
	slot, other := w.slotOf("a"), w.slotOf()
	before := w.post(slot, "b")
	removal := w.act(postRemove, slot)
	w.post(other, "x")
	w.c.turn()
	behind := w.post(slot, "c")
	w.run()
	w.is("stored", before, removal)
	w.is(ErrNoSlot.Error(), behind)
	w.wrote([]string{"append 1: b", "append 0: x"}, []string{"remove"})
	if w.slots[slot.id] != nil {
		t.Error("the slot is there")
	}
	w.nothingWaits()
}

// A removal that is refused leaves the slot as it was.
func TestDecide_RefusedRemoval(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.outcome = func(g *Group) Outcome {
		if g.Op == OpRemove {
			return Refused
		}
		return Stored
	}
	removal := w.act(postRemove, slot)
	behind := w.post(slot, "b")
	w.run()
	w.is(ErrBusy.Error(), removal)
	w.is("stored", behind)
	w.holds(slot, "a", "b")
	w.nothingWaits()
}

// A post whose poster has given up is not decided and takes no room in a batch.
func TestDecide_PosterGaveUp(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf()
	gone := w.post(slot, "a")
	gone.state.Store(postAbandoned)
	w.c.queue.leave(gone)
	w.c.gather()
	if w.c.next.posts != 0 || !w.c.next.empty() {
		t.Errorf("the batch counts %d posts", w.c.next.posts)
	}
	w.run()
	w.wrote()
	w.nothingWaits()
}

// A batch takes so many posts and so many bytes, duplicates included. The rest
// goes into the next ones, in the order in which it came.
func TestGather_BatchIsBounded(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("0")
	for range 2*batchPosts + 10 {
		w.post(slot, "")
	}
	w.post(slot, "last")
	w.run()
	if len(w.written) != 3 {
		t.Fatalf("%d batches", len(w.written))
	}
	first := fmt.Sprintf("append 1: %s", strings.Repeat(" ", batchPosts-1))
	if w.written[0][0] != first || !strings.HasSuffix(w.written[2][0], " last") {
		t.Errorf("the first batch is %.40q, the last %.40q", w.written[0], w.written[2])
	}
	w.written = nil

	for range 2 * batchPosts {
		w.post(slot, "0")
	}
	w.c.gather()
	if n := len(w.c.queue.posts); n != batchPosts {
		t.Errorf("%d posts are left in the queue behind a batch of duplicates", n)
	}
	w.run()
	w.wrote()

	large := strings.Repeat("x", 100)
	p := w.post(slot, large)
	p.bytes = batchBytes // as if it were so long
	w.c.queue.bytes.Add(batchBytes)
	w.post(slot, "next")
	w.c.gather()
	if n := len(w.c.queue.posts); n != 1 {
		t.Errorf("%d posts are left in the queue behind one that fills a batch", n)
	}
}

// While the disk is nearly full the journal sees removals only. All else is
// answered, and what rested on it is decided again.
func TestSend_NoRoom(t *testing.T) {
	w := newWorld(t)
	slot, other := w.slotOf("a"), w.slotOf()
	w.full = ErrNoSpace
	refused := []*Post{w.post(slot, "b"), w.post(slot, "b"), w.act(postCreate, &Slot{id: NewID()})}
	known := w.post(slot, "a")
	removals := []*Post{w.act(postRemove, other), w.act(postRemove, slot)} // the second rests on b
	w.run()
	w.is(ErrNoSpace.Error(), refused...)
	w.is("duplicate", known)
	w.is("stored", removals...)
	w.wrote([]string{"remove"}, []string{"remove"})
	if n := w.stats.PostsNoSpace.Load(); n != 1 {
		t.Errorf("%d posts are counted as refused", n)
	}
	w.nothingWaits()
}

// The times of pulls go along with a batch, those of slots that are gone or
// going excepted.
func TestSend_Touches(t *testing.T) {
	w := newWorld(t)
	slot, gone, going := w.slotOf("a"), w.slotOf(), w.slotOf()
	gone.dead.Store(true)
	w.c.inbox.askTouch([]*Slot{slot, gone, going})
	w.act(postRemove, going)
	w.run()
	w.wrote([]string{"remove", "touch"})
	if n := w.c.inbox.touchesLeft.Load(); n != 0 {
		t.Errorf("%d times are counted as not written", n)
	}
	many := make([]*Slot, batchPosts+1)
	for i := range many {
		many[i] = slot
	}
	w.c.inbox.askTouch(many)
	w.run()
	if len(w.written) != 2 || len(w.written[0]) != batchPosts || len(w.written[1]) != 1 {
		t.Errorf("%d batches", len(w.written))
	}
}
