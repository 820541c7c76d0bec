package cow_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
)

// When a slot is removed its queued posts get ErrNoSlot, windows under way give
// nothing more, and its streams end. After a restart nothing of it is there.
func TestRemove_EndsEverythingOfTheSlot(t *testing.T) {
	f := open(t, cow.Options{})
	slot, other := f.slot(), f.slot()
	f.fill(slot, 0, 300)
	if err := f.SetHealth(slot, []byte("record")); err != nil {
		t.Fatal(err)
	}
	live := f.subscribe(slot, true, payloadID(slot.ID(), 100))
	defer live.Close()
	var w cow.Window
	if err := f.Window(slot, cow.Oldest(), 300, &w); err != nil {
		t.Fatal(err)
	}
	given := w.Parts(nil)
	f.must(other, ev("x"))
	entered, release := f.m.Hold()
	defer release()
	ahead := f.later(slot, payload(slot.ID(), 300))
	<-entered
	// In the queue in this order: the removal, two posts.
	removed := make(chan error, 1)
	before, _ := f.Queue()
	go func() { removed <- f.Remove(slot) }()
	f.until("the removal to be queued", func() bool { n, _ := f.Queue(); return n > before })
	behind := []<-chan answer{f.queued(slot, ev("b")), f.queued(slot, ev("c"))}
	release()
	if a := f.wait(ahead); a.err != nil {
		t.Errorf("the post ahead of the removal: %v", a.err)
	}
	if err := <-removed; err != nil {
		t.Fatalf("remove: %v", err)
	}
	for _, c := range behind {
		if a := f.wait(c); !errors.Is(a.err, cow.ErrNoSlot) {
			t.Errorf("a post behind the removal: error %v, want ErrNoSlot", a.err)
		}
	}
	if _, err := live.read(time.Minute); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("a stream of the slot: error %v, want ErrNoSlot", err)
	}
	if string(bytes.Join(given, nil)) != array(payloads(slot.ID(), 0, 300)) {
		t.Error("I1: what a window gave before the removal has changed")
	}
	if parts := w.Parts(nil); len(parts) > 0 {
		t.Errorf("a removed slot gives %d more slices", len(parts))
	}
	if err := w.Load(); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("the window under way: error %v, want ErrNoSlot", err)
	}
	if n, err := w.WriteTo(io.Discard); n != 0 || !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("the window under way: %d bytes, error %v", n, err)
	}
	if !slot.Gone() || f.Slot(slot.ID()) != nil || f.Len() != 1 {
		t.Errorf("the slot is there: gone %v, %d slots", slot.Gone(), f.Len())
	}
	if err := f.Window(slot, cow.Oldest(), 1, &w); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("window: error %v", err)
	}
	if _, err := f.trySubscribe(slot, true, ""); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("subscribe: error %v", err)
	}
	live.Close()
	if slot.HasSet() {
		t.Error("the set of subscribers is left")
	}
	if err := f.Remove(slot); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("remove again: error %v", err)
	}
	if n := f.Stats().Events.Load(); n != 1 {
		t.Errorf("%d events are counted, want the other slot's one", n)
	}
	if rec, err := f.Health(slot); rec != nil || err != nil {
		t.Errorf("the health record is left: %q, %v", rec, err)
	}
	f = f.restart()
	if f.Slot(slot.ID()) != nil || f.Slot(other.ID()) == nil {
		t.Error("after a restart the wrong slots are there")
	}
}

// Removals race loads and posts of cold slots. Everybody is answered with the
// truth, and nothing of a removed slot is counted any more.
func TestRemove_RacesLoadsAndPosts(t *testing.T) {
	f := open(t, cow.Options{})
	rounds := 150
	if testing.Short() {
		rounds = 50
	}
	f.m.OnLoad(func(cow.ID, uint64) error { time.Sleep(200 * time.Microsecond); return nil })
	var served, gone atomic.Int64
	ok := func(what string, err error, slot *cow.Slot) {
		switch {
		case err == nil:
			served.Add(1)
		case errors.Is(err, cow.ErrNoSlot):
			gone.Add(1)
		default:
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range rounds {
		slot := f.slot()
		f.must(slot, ev("a"))
		f.Cool(slot)
		pause := time.Duration(i%10) * 60 * time.Microsecond
		all(
			func() { _, err := f.tryPage(slot, "", 10); ok("window", err, slot) },
			func() { _, err := f.post(slot, ev("b")); ok("post", err, slot) },
			func() { _, err := f.post(slot, ev("a")); ok("duplicate", err, slot) },
			func() {
				st, err := f.trySubscribe(slot, true, "a")
				if ok("subscribe", err, slot); err == nil {
					st.Close()
				}
			},
			func() {
				time.Sleep(pause)
				if err := f.Remove(slot); err != nil {
					t.Errorf("remove: %v", err)
				}
			},
		)
		if f.Slot(slot.ID()) != nil || slot.HasSet() {
			t.Fatal("the slot is left")
		}
	}
	if served.Load() == 0 || gone.Load() == 0 {
		t.Errorf("no race: %d served, %d gone", served.Load(), gone.Load())
	}
	f.until("the books to be empty", func() bool { return f.Memory().Used == 0 && f.RingLen() == 0 })
	if f.Len() != 0 || f.Stats().Events.Load() != 0 || f.Stats().Bytes.Load() != 0 || f.Waits() != 0 {
		t.Errorf("left: %d slots, %d events, %d bytes, %d waits", f.Len(), f.Stats().Events.Load(), f.Stats().Bytes.Load(), f.Waits())
	}
}

func TestAllocate_BoundIsExact(t *testing.T) {
	f := open(t, cow.Options{MaxSlots: 10})
	var made, refused atomic.Int64
	var tasks []func()
	for range 25 {
		tasks = append(tasks, func() {
			switch _, _, _, err := f.Allocate(); {
			case err == nil:
				made.Add(1)
			case errors.Is(err, cow.ErrTooManySlots):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all(tasks...)
	if made.Load() != 10 || refused.Load() != 15 || f.Len() != 10 {
		t.Errorf("%d made, %d refused, %d there; want 10, 15, 10", made.Load(), refused.Load(), f.Len())
	}
}

// A poster that hangs up is stored all the same: nobody waits for its answer.
func TestCommit_PosterThatHangsUpIsStored(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	entered, release := f.m.Hold()
	defer release()
	f.later(slot, ev("a"))
	<-entered
	f.queued(slot, ev("b"))
	release()
	f.until("both events", func() bool { return slot.Count() == 2 })
	f.holds(slot, ev("a"), ev("b"))
}

// Close commits the posts that wait for the journal. Posts that wait for a load get
// ErrClosed: they are not stored.
func TestClose_AnswersWhatWaits(t *testing.T) {
	f := open(t, cow.Options{})
	slot, cold := f.slot(), f.slot()
	f.must(cold, ev("a"))
	f.Cool(cold)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	parked := f.queued(cold, ev("parked"))
	f.until("the load", func() bool { return f.m.Loads() == 1 })
	entered, release := f.m.Hold()
	defer release()
	posts := []<-chan answer{f.later(slot, ev("held"))}
	<-entered
	for i := range 5 {
		posts = append(posts, f.queued(slot, ev(fmt.Sprint(i))))
	}
	closed := make(chan struct{})
	go func() {
		f.close()
		close(closed)
	}()
	f.until("the store to close", f.Closing)
	if _, err := f.post(slot, ev("late")); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("a post while closing: error %v, want ErrClosed", err)
	}
	close(load)
	release()
	for _, c := range posts {
		if a := f.wait(c); a.err != nil {
			t.Errorf("%s: %v", a.event, a.err)
		}
	}
	if a := f.wait(parked); !errors.Is(a.err, cow.ErrClosed) {
		t.Errorf("a post that waited for a load: %v, want ErrClosed", a.err)
	}
	<-closed
	g := openOn(t, f.m.Reopen(), f.opts)
	if n := g.Slot(slot.ID()).Count(); n != 6 {
		t.Errorf("%d events are there, want 6", n)
	}
	g.holds(g.Slot(cold.ID()), ev("a"))
}

func TestClose_WritesTheTimesOfPulls(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	for range 15 { // the loop finds work and its end at once: which it takes is random
		f := open(t, cow.Options{})
		slot := f.slot()
		slot.MarkPulled(at)
		entered, release := f.m.Hold()
		f.later(slot, ev("a"))
		<-entered
		go func() {
			waitFor(t, "the store to close", f.Closing)
			release()
		}()
		f = f.restart()
		if got := f.Slot(slot.ID()).PulledAt(); got != at.Unix() {
			t.Fatalf("the time of the last pull is %d after a restart, want %d", got, at.Unix())
		}
	}
}

// Posts race Close. Each is stored or refused, and none waits for its timeout.
func TestClose_RacesPosts(t *testing.T) {
	for range 20 {
		f := open(t, cow.Options{})
		slot := f.slot()
		var stored atomic.Int64
		var tasks []func()
		for w := range 4 {
			tasks = append(tasks, func() {
				for i := 0; ; i++ {
					_, err := f.post(slot, ev(fmt.Sprintf("%d-%d", w, i)))
					if err == nil {
						stored.Add(1)
						continue
					}
					if !errors.Is(err, cow.ErrClosed) {
						t.Errorf("post while closing: %v", err)
					}
					return
				}
			})
		}
		tasks = append(tasks, func() { time.Sleep(2 * time.Millisecond); f.close() })
		all(tasks...)
		if n := slot.Count(); n != uint64(stored.Load()) {
			t.Fatalf("%d stored, %d acknowledged", n, stored.Load())
		}
	}
}

// An event that is stored, or a pull, between the look at a slot and its removal keeps the
// slot. The look is as old as it gets: the event is with the journal when the removal is
// asked for.
func TestRemove_UsedMeanwhile(t *testing.T) {
	f := open(t, cow.Options{})
	for _, cold := range []bool{false, true} {
		slot, pulled := f.slot(), f.slot()
		if cold {
			f.must(slot, ev("a"))
			f.Cool(slot)
		}
		entered, release := f.m.Hold()
		posted := f.later(slot, ev("b"))
		<-entered
		last := slot.LastUse()
		removed := make(chan error, 2)
		before, _ := f.Queue()
		go func() { removed <- f.RemoveUnused(slot, last) }()
		go func() { removed <- f.RemoveUnused(pulled, cow.Use{}) }()
		f.until("the removals to be queued", func() bool { n, _ := f.Queue(); return n > before+1 })
		pulled.MarkPulled(time.Now())
		release()
		if a := f.wait(posted); a.err != nil {
			t.Errorf("the post: %v", a.err)
		}
		for range 2 {
			if err := <-removed; !errors.Is(err, cow.ErrConflict) {
				t.Errorf("cold %v: the removal of a slot that was used: error %v, want ErrConflict", cold, err)
			}
		}
		if slot.Gone() || pulled.Gone() {
			t.Error("a slot is gone that was used")
		}
		f.must(slot, ev("c"))
		if err := f.RemoveUnused(slot, slot.LastUse()); err != nil || !slot.Gone() {
			t.Errorf("the removal of a slot that nobody uses: %v", err)
		}
		if err := f.Remove(pulled); err != nil {
			t.Error(err)
		}
	}
}
