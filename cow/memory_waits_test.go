package cow_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// coldSlots makes slots of one event that are not in memory.
func (f *fixture) coldSlots(n int) (list []*cow.Slot) {
	f.Helper()
	for range n {
		slot := f.slot()
		f.must(slot, ev("first"))
		f.Cool(slot)
		list = append(list, slot)
	}
	return list
}

// The disk hangs in a commit and memory is used up, while many clients post and
// pull and another writer goes on. What waits for the commit loop stays a
// handful of things, and everybody is answered when it goes on.
func TestInbox_StaysSmallWhileACommitHangs(t *testing.T) {
	f := open(t, cow.Options{
		MemoryBudget: 1_500_000, LoadPatience: time.Minute, LoadTimeout: time.Minute,
		TouchInterval: 2 * time.Millisecond,
	})
	cold := f.coldSlots(200)
	var warm []*cow.Slot // what the budget asks to go cold, again and again
	for range 50 {
		slot := f.slot()
		f.must(slot, ev("first"))
		warm = append(warm, slot)
	}
	fed, slot := f.slot(), f.slot()
	entered, release := f.m.Hold()
	defer release()
	posts := []<-chan answer{f.later(slot, ev("held"))}
	<-entered
	f.AddRoom(-f.opts.MemoryBudget)
	pulls := make(chan error, 2*len(cold))
	for i, slot := range cold {
		posts = append(posts, f.queued(slot, ev(fmt.Sprint(i))))
		for range 2 {
			go func() { _, err := f.tryPage(slot, "", 10); pulls <- err }()
		}
	}
	f.until("the pulls to wait", func() bool { return f.LoadWaiters() == 2*len(cold) })
	for i := range 2000 {
		large := fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, make1(10_000))
		f.m.Foreign(fed.ID(), event.Event{JSON: []byte(large), IDOff: 12})
		for _, slot := range warm {
			slot.MarkPulled(time.Unix(int64(1_700_000_000+i), 0))
		}
		f.Alive(over())
	}
	// The budget asks every 2 ms for each load that waits.
	most := 0
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		most = max(most, f.InboxLen())
	}
	// Some 400 entries of the feed, the warm slots to go cold, and the same with
	// the times of their pulls, and what else there is once.
	if most > 700 {
		t.Errorf("%d things wait for the commit loop", most)
	}
	release()
	f.AddRoom(f.opts.MemoryBudget)
	for _, c := range posts {
		if a := f.wait(c); a.err != nil || a.dup {
			t.Fatalf("post of %s: duplicate %v, error %v", a.event, a.dup, a.err)
		}
	}
	for range 2 * len(cold) {
		if err := <-pulls; err != nil {
			t.Fatalf("a pull: %v", err)
		}
	}
	f.m.WaitFeed()
	f.until("the feed", func() bool { return fed.Count() == 2000 })
	f.until("the inbox to be empty", func() bool { return f.InboxLen() == 0 })
}

// Posters that gave up are not kept until the load ends that they waited for.
func TestPark_DropsPostersThatHaveGone(t *testing.T) {
	f := open(t, cow.Options{QueueTimeout: time.Millisecond, LoadTimeout: time.Minute})
	slot := f.slot()
	for {
		if _, err := f.post(slot, ev("first")); err == nil {
			break
		}
	}
	f.Cool(slot)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	most := 0
	for range 10 {
		var posts []func()
		for range 50 {
			posts = append(posts, func() {
				if _, err := f.post(slot, ev("late")); !errors.Is(err, cow.ErrBusy) {
					t.Errorf("a post that waited for too long: %v", err)
				}
			})
		}
		all(posts...)
		most = max(most, f.Parked(slot))
	}
	if most > 250 {
		t.Errorf("%d posts are kept of 500, and at most 50 posters wait", most)
	}
	if n, b := f.Queue(); n != 0 || b != 0 {
		t.Errorf("%d posts of %d bytes are counted as waiting", n, b)
	}
	close(load)
	f.until("the slot to be loaded", slot.Hot)
	f.until("the parked posts to be passed over", func() bool { return f.Waits() == 0 })
	f.holds(slot, ev("first"))
}

// No more than so many requests wait for loads.
func TestLoad_WaitersAreBounded(t *testing.T) {
	f := open(t, cow.Options{LoadWaiters: 3, LoadTimeout: time.Hour})
	cold := f.coldSlots(2)
	held := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-held; return nil })
	errs := make(chan error, 3)
	for range 3 {
		go func() { _, err := f.tryPage(cold[0], "", 10); errs <- err }()
	}
	f.until("three to wait", func() bool { return f.LoadWaiters() == 3 })
	for _, slot := range cold {
		within(t, "the fourth", func() {
			if _, err := f.tryPage(slot, "", 10); !errors.Is(err, cow.ErrBusy) {
				t.Errorf("the fourth that would wait: %v", err)
			}
		})
	}
	if n := f.Stats().LoadsRefused.Load(); n != 2 {
		t.Errorf("%d refused waits are counted", n)
	}
	close(held)
	for range 3 {
		if err := <-errs; err != nil {
			t.Errorf("one of the three: %v", err)
		}
	}
	f.holds(cold[1], ev("first"))
}

// None waits longer than it may, and no load waits longer for its turn.
func TestLoad_WaitsEnd(t *testing.T) {
	f := open(t, cow.Options{LoadTimeout: 50 * time.Millisecond, Loads: 1})
	cold := f.coldSlots(2)
	held := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-held; return nil })
	errs := make(chan error, 3)
	for range 3 {
		go func() { _, err := f.tryPage(cold[0], "", 10); errs <- err }()
	}
	within(t, "a pull", func() {
		for range 3 {
			if err := <-errs; !errors.Is(err, cow.ErrBusy) {
				t.Errorf("a pull of a slot that is not loaded in time: %v", err)
			}
		}
	})
	// The only place is taken: another load has no turn, for readers of the
	// journal, and for a post.
	within(t, "an export", func() {
		if _, _, err := f.ReadLines(nil, cold[1], 0, 1, 100); !errors.Is(err, cow.ErrBusy) {
			t.Errorf("an export: %v", err)
		}
	})
	if a := f.wait(f.later(cold[1], ev("a"))); !errors.Is(a.err, cow.ErrBusy) {
		t.Errorf("a post to a slot that is not loaded in time: %v", a.err)
	}
	close(held)
	f.until("the slot to be loaded", cold[0].Hot)
	f.holds(cold[0], ev("first"))
	f.must(cold[1], ev("a"))
	if n := f.LoadWaiters(); n != 0 {
		t.Errorf("%d requests are counted as waiting", n)
	}
}

// The patience of a load is for all of it, not for each of its pieces. The clock is a
// virtual one: memory comes free only when the load waits for it.
func TestLoad_PatienceIsForTheWholeLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 200 * time.Millisecond
		f := open(t, cow.Options{MemoryBudget: 1_500_000, LoadPatience: patience, LoadTimeout: time.Minute})
		defer f.close()
		slot := f.slot()
		for i := range 4000 { // an index can't be shed
			f.must(slot, ev(fmt.Sprint(i)))
		}
		f.Cool(slot)
		f.AddRoom(f.Memory().Used - f.opts.MemoryBudget)
		// A little memory comes free whenever the load has waited for some time.
		began := time.Now()
		ended := make(chan error, 1)
		go func() { _, err := f.tryPage(slot, "", 1000); ended <- err }()
		room := int64(0)
		for waiting := true; waiting; {
			select {
			case err := <-ended:
				if took := time.Since(began); !errors.Is(err, cow.ErrBusy) || took < patience || took > 2*patience {
					t.Errorf("a load that got its memory in crumbs, for %v: %v", took, err)
				}
				waiting = false
			case <-time.After(patience / 2):
				f.AddRoom(40000)
				room += 40000
			}
		}
		f.AddRoom(-room)
	})
}

// A client whose pulls wait for many loads does not keep another from its own.
func TestLoad_ClientsTakeTurns(t *testing.T) {
	const many = 30
	f := open(t, cow.Options{Loads: 1, LoadTimeout: time.Minute})
	cold := f.coldSlots(many + 1)
	var mu sync.Mutex
	var loaded []cow.ID
	held := make(chan struct{})
	f.m.OnLoad(func(slot cow.ID, _ uint64) error {
		<-held
		mu.Lock()
		defer mu.Unlock()
		loaded = append(loaded, slot)
		return nil
	})
	errs := make(chan error, len(cold))
	pull := func(slot *cow.Slot, client uint64) {
		before := f.LoadWaiters()
		go func() {
			var w cow.Window
			errs <- f.Window(slot, cow.Oldest().For(client), 10, &w)
		}()
		f.until("the pull to wait", func() bool { return f.LoadWaiters() == before+1 })
	}
	for _, slot := range cold[:many] {
		pull(slot, 1)
	}
	pull(cold[many], 2)
	close(held)
	for range cold {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if at := slices.Index(loaded, cold[many].ID()); at > 2 {
		t.Errorf("the other client's slot was loaded behind %d of %d", at, many)
	}
}
