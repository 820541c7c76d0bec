package cow

import (
	"testing"
	"testing/synctest"
	"time"
)

// doubtful has the journal not know what became of an append, and returns its
// posts and its mark: a new event, its duplicate, and one without an id.
func (w *world) doubtful(slot *Slot, id string) (posts []*Post, mark uint64) {
	posts = []*Post{w.post(slot, id), w.post(slot, id), w.post(slot, "")}
	w.outcome = func(g *Group) Outcome { mark = g.Mark; return Unknown }
	w.run()
	w.outcome = nil
	w.written = nil
	return posts, mark
}

// I3: an append in doubt is stored if the journal has its mark behind the head.
func TestOthers_I3_DoubtIsFound(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	posts, mark := w.doubtful(slot, "b")
	late := w.post(slot, "c")
	w.run()
	w.is("waits", append(posts, late)...)
	got := behind(slot, 1, mark, "b")
	got.Events = append(got.Events, eventsOf("x")...)
	w.land("behind 1", []foreign{got}, nil, nil)
	w.is("stored", posts[0], posts[2], late)
	w.is("duplicate", posts[1])
	w.wrote([]string{"append 3: c"})
	w.holds(slot, "a", "b", "x", "c")
	w.nothingWaits()
}

// I2, I5: if the journal does not have it, it is not stored, and is decided
// again behind what another writer stored meanwhile.
func TestOthers_I2I5_DoubtIsNotFound(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	posts, mark := w.doubtful(slot, "b")
	w.land("behind 1", []foreign{behind(slot, 1, mark+2, "b")}, nil, nil)
	w.is("duplicate", posts[0], posts[1])
	w.is("stored", posts[2])
	w.wrote([]string{"append 2: "})
	w.nothingWaits()
}

// I3: an append in doubt that the feed brings behind a gap is acknowledged when
// it can be seen, not before.
func TestOthers_I3_DoubtBehindAGap(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	posts, mark := w.doubtful(slot, "c")
	w.c.inbox.feed(behind(slot, 2, mark, "c", "d"))
	w.run()
	w.is("waits", posts...)
	w.holds(slot, "a")
	w.land("behind 1", []foreign{behind(slot, 1, 7, "b")}, nil, nil)
	w.land("behind 2", []foreign{behind(slot, 2, mark, "c", "d")}, nil, nil) // as the feed came meanwhile
	w.is("stored", posts[0], posts[2])
	w.is("duplicate", posts[1])
	w.holds(slot, "a", "b", "c", "d")
	w.nothingWaits()
}

// While the journal can't be read an append in doubt is looked for a few times,
// and then its posters hear that nobody knows.
func TestOthers_DoubtIsLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slot := w.slotOf("a")
		posts, _ := w.doubtful(slot, "b")
		parked := w.post(slot, "c")
		for range catchUpRetries {
			w.land("behind 1", nil, nil, errDisk)
			w.is("waits", append(posts, parked)...)
			if len(w.loads) > 0 {
				t.Fatal("it is looked for again at once")
			}
			time.Sleep(catchUpPause + time.Millisecond)
			w.run()
		}
		w.land("behind 1", nil, nil, errDisk)
		w.is(ErrUnknown.Error(), posts...)
		w.is("cannot read slot "+slot.id.String()+" again: "+errDisk.Error(), parked)
		w.nothingWaits()
	})
}

// The store closes while an append in doubt is to be looked for again. Nobody
// knows what became of it, unless the feed told of it meanwhile.
func TestOthers_CloseEndsADoubt(t *testing.T) {
	for _, told := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			slot := w.slotOf("a")
			posts, mark := w.doubtful(slot, "b")
			parked := w.post(slot, "c")
			w.land("behind 1", nil, nil, errDisk)
			if told {
				got := behind(slot, 1, mark, "b")
				got.Events = append(got.Events, eventOf(""))
				w.c.inbox.feed(got)
				w.run()
			}
			stop := make(chan struct{})
			close(stop)
			w.c.queue.close()
			for w.c.turn() || w.c.rest(stop) {
			}
			if told {
				w.is("stored", posts[0], posts[2])
				w.is("duplicate", posts[1])
			} else {
				w.is(ErrUnknown.Error(), posts...)
			}
			w.is("cannot read slot "+slot.id.String()+" again: "+ErrClosed.Error(), parked)
			time.Sleep(catchUpPause + time.Millisecond) // a retry that comes too late
			w.run()
			w.nothingWaits()
		})
	}
}

// A slot that is removed while an append is in doubt is gone for all that wait.
func TestOthers_DoubtOfARemovedSlot(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	posts, mark := w.doubtful(slot, "b")
	parked := w.post(slot, "c")
	w.c.inbox.feed(foreign{Append: Append{Op: OpRemove, Slot: slot.id}})
	w.run()
	w.land("behind 1", []foreign{behind(slot, 1, mark, "b")}, nil, nil)
	w.is(ErrNoSlot.Error(), append(posts, parked)...)
	if n := slot.count.Load(); n != 1 {
		t.Errorf("a dead slot counts %d events", n)
	}
	w.nothingWaits()
}

// As many catch-ups run at once as may, each slot has one, and what is asked for
// while it runs takes another.
func TestOthers_CatchUpsAreBounded(t *testing.T) {
	w := newWorld(t)
	one, two := w.slotOf("a"), w.slotOf("a")
	for range 3 {
		w.c.inbox.feed(behind(one, 5, 0, "x"))
		w.c.inbox.feed(behind(two, 5, 0, "x"))
	}
	w.run()
	if len(w.loads) != 1 {
		t.Fatalf("%d catch-ups run", len(w.loads))
	}
	w.land("behind 1", []foreign{behind(one, 1, 0, "b", "c")}, nil, nil)
	w.land("behind 1", []foreign{behind(two, 1, 0, "b")}, nil, nil)
	w.land("behind 3", nil, nil, nil) // one, once more
	w.holds(one, "a", "b", "c")
	w.holds(two, "a", "b")
	w.nothingWaits()
}
