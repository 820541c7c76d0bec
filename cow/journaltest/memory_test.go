package journaltest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

func TestMemory_Conformance(t *testing.T) {
	Run(t, func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		m := NewMemory()
		t.Cleanup(func() { m.Close() })
		return m, m, func() (cow.Journal, cow.Records) {
			m = m.Reopen()
			return m, m
		}
	})
}

// newSlot makes a slot of one event and the group that appends the next.
func newSlot(t *testing.T, m *Memory) (cow.ID, cow.Group) {
	t.Helper()
	id, e, f := cow.NewID(), sampleEvent(0, 100), sampleEvent(1, 100)
	groups := []cow.Group{{Op: cow.OpCreate, Slot: id}}
	m.Commit(groups)
	groups[0] = cow.Group{Op: cow.OpAppend, Slot: id, Version: groups[0].NewVersion, Events: []event.Event{e}, Count: 1, Bytes: uint64(len(e.JSON))}
	m.Commit(groups)
	g := groups[0]
	if g.Outcome != cow.Stored {
		t.Fatalf("outcome %d, %v", g.Outcome, g.Err)
	}
	return id, cow.Group{
		Op: cow.OpAppend, Slot: id, Version: g.NewVersion, First: 1, Events: []event.Event{f},
		Count: 2, Bytes: g.Bytes + uint64(len(f.JSON)), Mark: 77,
	}
}

func TestMemory_FailNext(t *testing.T) {
	for _, test := range []struct {
		outcome cow.Outcome
		stored  bool
	}{{cow.Conflict, false}, {cow.Refused, false}, {cow.Unknown, false}, {cow.Unknown, true}} {
		m := NewMemory()
		id, g := newSlot(t, m)
		m.FailNext(test.outcome, test.stored)
		groups := []cow.Group{g, {Op: cow.OpTouch, Slot: id, PulledAt: 1}}
		m.Commit(groups)
		if groups[0].Outcome != test.outcome || (groups[0].Err == nil) != (test.outcome == cow.Conflict) {
			t.Errorf("%+v: outcome %d, %v", test, groups[0].Outcome, groups[0].Err)
		}
		if groups[1].Outcome != cow.Stored {
			t.Errorf("%+v: the next group: outcome %d, %v", test, groups[1].Outcome, groups[1].Err)
		}
		want := 1
		if test.stored {
			want = 2
		}
		if events, err := load(m, id, 0); len(events) != want || err != nil {
			t.Errorf("%+v: %d events, %v; want %d", test, len(events), err, want)
		}
		m.Close()
	}
}

func TestMemory_Hold(t *testing.T) {
	m := NewMemory()
	defer m.Close()
	id, g := newSlot(t, m)
	entered, release := m.Hold()
	var done atomic.Bool
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		m.Commit([]cow.Group{g})
		done.Store(true)
	}()
	<-entered
	time.Sleep(time.Millisecond)
	if events, err := load(m, id, 0); len(events) != 1 || err != nil || done.Load() {
		t.Errorf("held: %d events, %v, committed %v", len(events), err, done.Load())
	}
	release()
	<-finished
	if events, err := load(m, id, 0); len(events) != 2 || err != nil {
		t.Errorf("released: %d events, %v", len(events), err)
	}
}

func TestMemory_OnLoad(t *testing.T) {
	m := NewMemory()
	defer m.Close()
	id, _ := newSlot(t, m)
	fail := errors.New("fail")
	m.OnLoad(func(slot cow.ID, from uint64) error {
		if slot == id && from == 1 {
			return fail
		}
		return nil
	})
	if _, err := load(m, id, 0); err != nil {
		t.Error(err)
	}
	if _, err := load(m, id, 1); err != fail {
		t.Errorf("load: %v, want the hook's error", err)
	}
	m.OnLoad(nil)
	if _, err := load(m, id, 1); err != nil || m.Loads() != 3 {
		t.Errorf("load: %v, %d loads", err, m.Loads())
	}
}

// TestMemory_Feed: entries come in order, with versions and marks; a dropped
// one leaves a gap; held ones come later.
func TestMemory_Feed(t *testing.T) {
	m := NewMemory()
	id, g := newSlot(t, m)
	var got []cow.Append
	m.Feed(func(a *cow.Append) { got = append(got, *a) })
	m.FeedOwn()
	groups := []cow.Group{g}
	m.Commit(groups)
	m.Foreign(id, sampleEvent(2, 50))
	m.DropFeed(1)
	m.Foreign(id, sampleEvent(3, 50), sampleEvent(4, 50))
	version := m.Foreign(id, sampleEvent(5, 50))
	m.WaitFeed()
	release := m.HoldFeed()
	other := cow.NewID()
	created := m.ForeignCreate(other, cow.HashToken(nil))
	m.ForeignRemove(id)
	time.Sleep(time.Millisecond)
	release()
	m.WaitFeed()
	m.Close()
	want := []cow.Append{
		{Op: cow.OpAppend, Slot: id, First: 1, Version: groups[0].NewVersion, Mark: 77},
		{Op: cow.OpAppend, Slot: id, First: 2},
		{Op: cow.OpAppend, Slot: id, First: 5, Version: version},
		{Op: cow.OpCreate, Slot: other, Version: created, Token: cow.HashToken(nil)},
		{Op: cow.OpRemove, Slot: id},
	}
	if len(got) != len(want) {
		t.Fatalf("the feed delivered %d entries, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Op != w.Op || g.Slot != w.Slot || g.First != w.First || g.Mark != w.Mark || g.Token != w.Token || w.Version != 0 && g.Version != w.Version {
			t.Errorf("entry %d is %+v, want %+v", i, g, w)
		}
	}
}
