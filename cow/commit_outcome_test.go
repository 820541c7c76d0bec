package cow_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/journaltest"
)

// gather has the events of a slot committed in one batch.
func (f *fixture) gather(other, slot *cow.Slot, before func(), events ...string) []answer {
	f.Helper()
	entered, release := f.m.Hold()
	defer release()
	hold := f.later(other, fmt.Sprintf(`{"hold":%q}`, events[0]))
	<-entered
	var posts []<-chan answer
	for _, e := range events {
		posts = append(posts, f.queued(slot, e))
	}
	if before != nil {
		before()
	}
	release()
	f.wait(hold)
	var list []answer
	for _, c := range posts {
		list = append(list, f.wait(c))
	}
	return list
}

// A group that was refused is not stored. Its posters hear that, and so do the
// posters of duplicates. Readers see nothing of it.
func TestCommit_RefusedIsNotStored(t *testing.T) {
	f := open(t, cow.Options{})
	slot, other := f.slot(), f.slot()
	f.must(slot, ev("before"))
	answers := f.gather(other, slot, func() { f.m.FailNext(cow.Stored, true); f.m.FailNext(cow.Refused, false) },
		ev("a"), ev("a"), ev("b"))
	for i, a := range answers {
		if !errors.Is(a.err, journaltest.ErrInjected) || a.dup {
			t.Errorf("post %d of a refused group: duplicate %v, error %v", i, a.dup, a.err)
		}
	}
	f.holds(slot, ev("before"))
	f.must(slot, ev("a"))
	f.holds(slot, ev("before"), ev("a"))
}

// The journal reports a conflict, but no other writer stored anything: the posts
// are decided again.
func TestCommit_ConflictIsDecidedAgain(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.m.FailNext(cow.Conflict, false)
	f.must(slot, ev("a"))
	f.m.FailNext(cow.Conflict, false)
	f.m.FailNext(cow.Conflict, false)
	f.must(slot, ev("b"))
	f.holds(slot, ev("a"), ev("b"))
	if n := f.Stats().Recoveries.Load(); n != 3 {
		t.Errorf("%d recoveries are counted, want 3", n)
	}
}

// Another writer was first, and its feed says nothing yet: what it wrote is
// loaded, then dedupe, position and order are decided again (I2, I5).
func TestCommit_I5_ConflictWithAnotherWriter(t *testing.T) {
	for _, feed := range []string{"held", "dropped", "delivered"} {
		t.Run(feed, func(t *testing.T) {
			f := open(t, cow.Options{})
			slot, other := f.slot(), f.slot()
			f.must(slot, ev("ours"))
			release := func() {}
			switch feed {
			case "held":
				release = f.m.HoldFeed()
			case "dropped":
				f.m.DropFeed(1)
			}
			answers := f.gather(other, slot, func() { f.m.Foreign(slot.ID(), foreign("theirs"), foreign("both")) },
				ev("both"), ev("mine"), ev("both"))
			for i, want := range []bool{true, false, true} {
				if a := answers[i]; a.err != nil || a.dup != want {
					t.Errorf("post %d (%s): duplicate %v, error %v; want duplicate %v", i, a.event, a.dup, a.err, want)
				}
			}
			f.holds(slot, ev("ours"), ev("theirs"), ev("both"), ev("mine"))
			release()
			f.m.WaitFeed()
			f.RunInbox()
			f.holds(slot, ev("ours"), ev("theirs"), ev("both"), ev("mine"))
			f = f.restart()
			f.holds(f.Slot(slot.ID()), ev("ours"), ev("theirs"), ev("both"), ev("mine"))
		})
	}
}

func foreign(id string) event.Event { return event.Event{JSON: []byte(ev(id)), IDOff: 12} }

// The journal can't say whether an append is stored. That is looked up before
// anything else is decided, and the posters hear the truth.
func TestCommit_I3_UnknownIsLookedUp(t *testing.T) {
	for _, stored := range []bool{true, false} {
		for _, ownFeed := range []bool{false, true} {
			t.Run(fmt.Sprintf("stored=%v/feed=%v", stored, ownFeed), func(t *testing.T) {
				f := open(t, cow.Options{})
				if ownFeed {
					f.m.FeedOwn()
				}
				slot, other := f.slot(), f.slot()
				f.must(slot, ev("before"))
				live := f.subscribe(slot, false, "")
				defer live.Close()
				answers := f.gather(other, slot, func() { f.m.FailNext(cow.Stored, true); f.m.FailNext(cow.Unknown, stored) },
					ev("a"), `{"no":"id"}`, ev("a"))
				for i, want := range []bool{false, false, true} {
					if a := answers[i]; a.err != nil || a.dup != want {
						t.Errorf("post %d (%s): duplicate %v, error %v; want duplicate %v", i, a.event, a.dup, a.err, want)
					}
				}
				f.holds(slot, ev("before"), ev("a"), `{"no":"id"}`)
				want := idFrame("a") + wrap("data: {\"no\":\"id\"}\n\n")
				if got := live.take(t, len(want)); got != want {
					t.Errorf("the stream got %q", got)
				}
				f.must(slot, ev("after"))
				f = f.restart()
				f.holds(f.Slot(slot.ID()), ev("before"), ev("a"), `{"no":"id"}`, ev("after"))
			})
		}
	}
}

// An append is in doubt while a post to the same slot waits for a chunk. When the
// chunk is there, nothing is known about the append yet. Its posters are answered
// once and with the truth, and an event without an id is not stored twice.
func TestCommit_I2_DoubtOutlivesALoadOfTheSlot(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored=%v", stored), func(t *testing.T) {
			f := open(t, cow.Options{})
			slot, other := f.slot(), f.slot()
			f.fill(slot, 0, 300)
			f.EvictChunks(slot)
			loads := f.m.Loads()
			catchUp := make(chan struct{})
			f.m.OnLoad(func(_ cow.ID, from uint64) error {
				if from == 300 { // of the append in doubt: later than the chunk
					<-catchUp
				}
				return nil
			})
			time.AfterFunc(50*time.Millisecond, func() {
				waitFor(t, "the chunk to be loaded", func() bool { return f.m.Loads() >= loads+2 })
				f.RunInbox()
				close(catchUp)
			})
			answers := f.gather(other, slot, func() { f.m.FailNext(cow.Stored, true); f.m.FailNext(cow.Unknown, stored) },
				`{"no":"id"}`, payload(slot.ID(), 5), ev("last"))
			for i, want := range []bool{false, true, false} {
				if a := answers[i]; a.err != nil || a.dup != want {
					t.Errorf("post %d (%.40s): duplicate %v, error %v; want duplicate %v", i, a.event, a.dup, a.err, want)
				}
			}
			f.holds(slot, append(payloads(slot.ID(), 0, 300), `{"no":"id"}`, ev("last"))...)
		})
	}
}

// While an append in doubt can't be looked up, its posters wait, other slots go on,
// and it is looked up again. Readers see it when it is known to be stored.
func TestCommit_UnknownThatCantBeLookedUpAtOnce(t *testing.T) {
	f := open(t, cow.Options{})
	slot, other := f.slot(), f.slot()
	f.must(slot, ev("before"))
	fails := make(chan struct{}, 1)
	fails <- struct{}{}
	f.m.OnLoad(func(cow.ID, uint64) error {
		select {
		case <-fails:
			return errors.New("not now")
		default:
			return nil
		}
	})
	f.m.FailNext(cow.Unknown, true)
	doubtful := f.later(slot, ev("a"))
	f.until("the look-up to fail", func() bool { return len(fails) == 0 })
	parked := f.queued(slot, ev("b"))
	f.must(other, ev("meanwhile"))
	f.unanswered(doubtful, "while its fate is unknown")
	f.unanswered(parked, "while the slot's head is unknown")
	for _, c := range []<-chan answer{doubtful, parked} {
		if a := f.wait(c); a.err != nil || a.dup {
			t.Fatalf("post of %s: duplicate %v, error %v", a.event, a.dup, a.err)
		}
	}
	f.holds(slot, ev("before"), ev("a"), ev("b"))
}

// A creation or removal whose outcome is unknown gets ErrUnknown.
func TestCommit_UnknownActs(t *testing.T) {
	f := open(t, cow.Options{})
	f.m.FailNext(cow.Unknown, true)
	if _, _, _, err := f.Allocate(); !errors.Is(err, cow.ErrUnknown) {
		t.Fatalf("allocate: error %v, want ErrUnknown", err)
	}
	slot := f.slot()
	f.must(slot, ev("a"))
	f.m.FailNext(cow.Unknown, true)
	if err := f.Remove(slot); !errors.Is(err, cow.ErrUnknown) {
		t.Fatalf("remove: error %v, want ErrUnknown", err)
	}
	// It was removed after all: the next act on it finds that out.
	if _, err := f.post(slot, ev("b")); !errors.Is(err, cow.ErrNoSlot) {
		t.Fatalf("post to a slot that was removed: error %v, want ErrNoSlot", err)
	}
	if f.Slot(slot.ID()) != nil || f.Len() != 0 {
		t.Fatal("the slot is still there")
	}
}
