package cow

import (
	"fmt"
	"testing"
	"time"
)

// wakerFunc is a Waker.
type wakerFunc func()

func (f wakerFunc) Wake(int64) { f() }

// subscribe puts a waker into a slot's set.
func subscribe(slot *Slot, f func()) {
	slot.subs.join(&member{waker: wakerFunc(f)}, 10)
}

// known says whether the index has an event of this id.
func (w *world) known(slot *Slot, id string) bool {
	p := &Post{seed: w.c.env.seed}
	p.Accept(fmt.Appendf(nil, `{"event":{"event_id":%q}}`, id))
	return len(slot.hot.Load().index.Find(p.idHash, nil)) > 0
}

// The order of I3, I4 and I6: durable, then indexed and visible, then woken,
// then acknowledged.
func TestFinish_I3I4I6_Order(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	p := w.post(slot, "b")
	var order []string
	w.onWrite = func() {
		order = append(order, "durable")
		w.holds(slot, "a")
		if w.known(slot, "b") {
			t.Error("I4: indexed before it is durable")
		}
	}
	subscribe(slot, func() {
		order = append(order, "woken")
		w.holds(slot, "a", "b")
		if !w.known(slot, "b") {
			t.Error("visible before it is indexed")
		}
		w.is("waits", p)
	})
	w.run()
	w.is("stored", p)
	if fmt.Sprint(order) != "[durable woken]" {
		t.Errorf("order: %v", order)
	}
}

// What has landed is finished while the next batch, of other slots, is at the
// journal.
func TestTurn_FinishesWhileTheNextIsWritten(t *testing.T) {
	w := newWorld(t)
	one, two := w.slotOf("a"), w.slotOf("a")
	first := w.post(one, "b")
	w.c.turn()
	w.is("waits", first)
	second := w.post(two, "b")
	w.onWrite = func() {
		select {
		case <-first.done:
			first.done <- struct{}{}
		case <-time.After(time.Minute):
			t.Error("the landed batch is not finished while the next one is written")
		}
	}
	w.c.turn()
	w.is("stored", first)
	w.is("waits", second)
	w.run()
	w.is("stored", second)
	w.wrote([]string{"append 1: b"}, []string{"append 1: b"})
	w.nothingWaits()
}

// I5: a post to a slot of the landed batch is decided when that is finished, and
// still goes into the next batch, with the posts to other slots.
func TestTurn_I5_DecidesOnWhatIsFinished(t *testing.T) {
	for _, outcome := range []Outcome{Stored, Refused} {
		w := newWorld(t)
		one, two := w.slotOf("a"), w.slotOf("a")
		first := w.post(one, "b")
		w.outcome = func(*Group) Outcome { return outcome }
		w.c.turn()
		again, next, other := w.post(one, "b"), w.post(one, "c"), w.post(two, "b")
		w.outcome = nil
		w.onWrite = func() {
			if answered(first) == "waits" {
				t.Error("the batch is sent before the landed one is finished")
			}
		}
		w.run()
		if outcome == Stored {
			w.is("stored", first, next, other)
			w.is("duplicate", again)
			w.wrote([]string{"append 1: b"}, []string{"append 1: b", "append 2: c"})
		} else {
			w.is(ErrBusy.Error(), first)
			w.is("stored", again, next, other)
			w.wrote([]string{"append 1: b"}, []string{"append 1: b", "append 1: b c"})
		}
		w.nothingWaits()
	}
}

// Each outcome of a group is what its posters and their duplicates are told, and
// nothing is shown of what is not stored.
func TestFinish_Outcomes(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.outcome = func(g *Group) Outcome { g.Err = fmt.Errorf("too long"); return Refused }
	posts := []*Post{w.post(slot, "b"), w.post(slot, "b"), w.act(postCreate, &Slot{id: NewID()}), w.act(postRemove, w.slotOf())}
	w.run()
	w.is("cannot store: too long", posts...)
	w.holds(slot, "a")
	w.outcome = func(*Group) Outcome { return Unknown }
	acts := []*Post{w.act(postCreate, &Slot{id: NewID()}), w.act(postRemove, slot)}
	w.run()
	w.is(ErrUnknown.Error(), acts...)
	w.outcome = func(*Group) Outcome { return Conflict }
	act := w.act(postCreate, &Slot{id: NewID()})
	w.run()
	w.is(ErrConflict.Error(), act)
	w.outcome = nil
	w.holds(slot, "a")
	w.nothingWaits()
}

// After the finish nothing of the posts and events is kept.
func TestFinish_LetsGo(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.post(slot, "b")
	w.post(slot, "b")
	w.run()
	for _, b := range append(w.c.pool.batches, w.c.next) {
		if len(b.groups) > 0 || len(b.acts) > 0 || len(b.appends) > 0 {
			t.Errorf("a batch that is not empty is kept: %+v", b)
		}
		for _, g := range b.groups[:cap(b.groups)] {
			if g.Events != nil {
				t.Error("a batch keeps events")
			}
		}
	}
	for _, a := range w.c.pool.appends {
		if a.slot != nil || a.hot != nil || a.posts[:1][0] != nil || a.events[:1][0].JSON != nil {
			t.Errorf("an append keeps what it held: %+v", a)
		}
	}
}
