package cow_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// Readers and streams here get what another writer appends, in order and once.
func TestFeed_I6_ForeignAppendsAreVisible(t *testing.T) {
	f := open(t, cow.Options{})
	f.m.FeedOwn() // one's own come back too, and must not be doubled
	slot := f.slot()
	live := f.subscribe(slot, false, "")
	defer live.Close()
	var events []string
	want := ""
	for i := range 60 {
		id := fmt.Sprint(i)
		if i%3 == 0 {
			f.must(slot, ev(id))
		} else {
			f.m.Foreign(slot.ID(), foreign(id))
		}
		events = append(events, ev(id))
		want += idFrame(id)
	}
	f.until("the feed", func() bool { return slot.Count() == 60 })
	f.m.WaitFeed()
	f.RunInbox()
	f.holds(slot, events...)
	if got := live.take(t, len(want)); got != want {
		t.Fatalf("the stream got %q", got)
	}
	f.duplicate(slot, ev("1"))
	f.duplicate(slot, ev("0"))
}

// An entry of the feed is lost. The next one shows the gap, and what is
// missing is loaded.
func TestFeed_I2_GapIsLoaded(t *testing.T) {
	for _, state := range []string{"hot", "cold", "empty", "empty, streamed"} {
		t.Run(state, func(t *testing.T) {
			f := open(t, cow.Options{})
			slot := f.slot()
			var events []string
			if state == "hot" || state == "cold" {
				f.must(slot, ev("ours"))
				events = append(events, ev("ours"))
			}
			if state == "cold" {
				f.Cool(slot)
			}
			if state == "empty, streamed" {
				live := f.subscribe(slot, false, "")
				defer live.Close()
			}
			f.m.DropFeed(2)
			for i := range 4 {
				f.m.Foreign(slot.ID(), foreign(fmt.Sprint(i)))
				events = append(events, ev(fmt.Sprint(i)))
			}
			f.until("the gap to be filled", func() bool { return slot.Count() == uint64(len(events)) })
			f.holds(slot, events...)
			f.must(slot, ev("last"))
			f.holds(slot, append(events, ev("last"))...)
			if n := f.Stats().Events.Load(); n != int64(len(events))+1 {
				t.Errorf("the store counts %d events of %d", n, len(events)+1)
			}
			if n := f.Stats().Bytes.Load(); n != int64(slot.Bytes()) {
				t.Errorf("the store counts %d bytes of %d", n, slot.Bytes())
			}
		})
	}
}

// slowLoads is a journal. One of its loads, when it has read everything, returns
// only when the test lets it.
type slowLoads struct {
	*journaltest.Memory
	read, finish chan struct{}
}

func (j *slowLoads) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	err := j.Memory.Load(slot, from, yield)
	select {
	case j.read <- struct{}{}:
		<-j.finish
	default:
	}
	return err
}

// A foreign append is fed while a load of the slot, which has read the journal
// before, is under way. It must not be lost.
func TestFeed_I3_AppendDuringALoad(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	m := f.m
	j := &slowLoads{m.Reopen(), make(chan struct{}), make(chan struct{})}
	s, err := cow.Open(j, j.Memory, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Memory.Close()
	defer s.Close()
	g := &fixture{TB: t, Store: s, m: j.Memory, opts: f.opts, shut: true}
	slot = g.Slot(slot.ID())
	page := make(chan string)
	go func() {
		text, _ := g.tryPage(slot, "", 10)
		page <- text
	}()
	<-j.read
	g.m.Foreign(slot.ID(), foreign("b"))
	g.m.WaitFeed()
	g.RunInbox()
	j.finish <- struct{}{}
	if got := <-page; got != "["+ev("a")+"]" && got != "["+ev("a")+","+ev("b")+"]" {
		t.Fatalf("the reader that waited got %s", got)
	}
	g.until("the foreign append", func() bool { return g.page(slot, "a", 10) == "["+ev("b")+"]" })
	if n := g.Stats().Events.Load(); n != 2 {
		t.Errorf("the store counts %d events", n)
	}
	g.must(slot, ev("c"))
	g.holds(slot, ev("a"), ev("b"), ev("c"))
	if n := g.Stats().Events.Load(); n != 3 {
		t.Errorf("the store counts %d events", n)
	}
}

// A cold slot's counts follow the feed without a load.
func TestFeed_ColdSlotCounts(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	f.Cool(slot)
	f.m.Foreign(slot.ID(), foreign("b"), foreign("c"))
	f.until("the counts", func() bool { return slot.Count() == 3 })
	if f.m.Loads() != 0 || slot.Hot() {
		t.Error("counting loaded the slot")
	}
	if n := slot.Bytes(); n != 3*uint64(len(ev("a"))) {
		t.Errorf("the cold slot counts %d bytes", n)
	}
	if n := f.Stats().Events.Load(); n != 3 {
		t.Errorf("the store counts %d events", n)
	}
	f.holds(slot, ev("a"), ev("b"), ev("c"))
}

// Slots that another writer makes and removes.
func TestFeed_ForeignCreateAndRemove(t *testing.T) {
	f := open(t, cow.Options{})
	id, token := cow.NewID(), cow.HashToken([]byte("token"))
	f.m.ForeignCreate(id, token)
	f.until("the slot", func() bool { return f.Slot(id) != nil })
	slot := f.Slot(id)
	if !slot.Authorize(token, 0).OK() || slot.Authorize(cow.HashToken([]byte("other")), 0).OK() {
		t.Fatal("the slot has another token")
	}
	f.must(slot, ev("a"))
	f.m.Foreign(id, foreign("b"))
	f.until("the append", func() bool { return slot.Count() == 2 })
	live := f.subscribe(slot, false, "")
	defer live.Close()
	f.m.ForeignRemove(id)
	f.until("the removal", func() bool { return f.Slot(id) == nil })
	<-live.bell
	if _, err := live.piece(); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("a stream of a removed slot: error %v", err)
	}
	if _, err := f.post(slot, ev("c")); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("post to a removed slot: error %v", err)
	}
	if f.Len() != 0 || f.Stats().Events.Load() != 0 || f.Stats().Bytes.Load() != 0 {
		t.Errorf("%d slots, %d events, %d bytes are counted", f.Len(), f.Stats().Events.Load(), f.Stats().Bytes.Load())
	}
}

// Another writer removed the slot and the feed has not said so. A post or a page
// that needs its events hears so at once, and the slot is not loaded again and
// again.
func TestFeed_RemovalThatTheFeedHasNotTold(t *testing.T) {
	for _, state := range []string{"hot", "cold"} {
		t.Run(state, func(t *testing.T) {
			f := open(t, cow.Options{})
			slot := f.slot()
			f.must(slot, ev("a"))
			if state == "cold" {
				f.Cool(slot)
			}
			release := f.m.HoldFeed()
			defer release()
			f.m.ForeignRemove(slot.ID())
			c := f.later(slot, ev("b"))
			select {
			case a := <-c:
				if !errors.Is(a.err, cow.ErrNoSlot) {
					t.Errorf("post: error %v, want ErrNoSlot", a.err)
				}
			case <-time.After(time.Minute):
				t.Fatalf("a post is not answered; the slot was loaded %d times", f.m.Loads())
			}
			if n := f.m.Loads(); n > 2 {
				t.Errorf("the slot was loaded %d times", n)
			}
			if _, err := f.tryPage(slot, "", 10); !errors.Is(err, cow.ErrNoSlot) {
				t.Errorf("window: error %v, want ErrNoSlot", err)
			}
		})
	}
}

// A removal meets another writer's append. It removes that too.
func TestFeed_RemoveThatConflicts(t *testing.T) {
	for _, state := range []string{"hot", "cold", "empty"} {
		t.Run(state, func(t *testing.T) {
			f := open(t, cow.Options{})
			slot := f.slot()
			if state != "empty" {
				f.must(slot, ev("a"))
			}
			if state == "cold" {
				f.Cool(slot)
			}
			release := f.m.HoldFeed()
			f.m.Foreign(slot.ID(), foreign("b"))
			if err := f.Remove(slot); err != nil {
				t.Fatal(err)
			}
			release()
			f.m.WaitFeed()
			f.RunInbox()
			if f.Slot(slot.ID()) != nil || f.Len() != 0 || f.Stats().Events.Load() != 0 {
				t.Errorf("%d slots, %d events are counted", f.Len(), f.Stats().Events.Load())
			}
		})
	}
}
