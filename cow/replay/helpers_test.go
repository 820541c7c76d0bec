package replay_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// commitAll commits groups that must be stored.
func commitAll(t testing.TB, j cow.Journal, groups ...cow.Group) {
	t.Helper()
	j.Commit(groups)
	for i := range groups {
		if groups[i].Outcome != cow.Stored {
			t.Fatalf("group %d (op %d): outcome %d, %v", i, groups[i].Op, groups[i].Outcome, groups[i].Err)
		}
	}
}

// appendOf makes the append of n events behind count and bytes.
func appendOf(slot cow.ID, count, bytes uint64, n, size int) cow.Group {
	g := cow.Group{Op: cow.OpAppend, Slot: slot, Version: count, First: count, Count: count, Bytes: bytes}
	for range n {
		e := replaytest.Event(slot, g.Count, size)
		g.Events = append(g.Events, e)
		g.Count, g.Bytes = g.Count+1, g.Bytes+uint64(len(e.JSON))
	}
	return g
}

// loads are what has a Load: journals and readers.
type loads interface {
	Load(cow.ID, uint64, func(*cow.Append) error) error
}

// loadCount loads a slot from a position, checks its events and counts them.
func loadCount(j loads, slot cow.ID, from uint64) (n int, err error) {
	next := from
	err = j.Load(slot, from, func(a *cow.Append) error {
		if a.First != next {
			return fmt.Errorf("an append at position %d, want %d", a.First, next)
		}
		for _, e := range a.Events {
			want := replaytest.Event(slot, next, len(e.JSON))
			if len(e.JSON) < 20 || string(e.JSON[:20]) != string(want.JSON[:20]) || (e.IDOff == 0) != (want.IDOff == 0) {
				return fmt.Errorf("position %d holds %.100s", next, e.JSON)
			}
			next++
			n++
		}
		return nil
	})
	return n, err
}

// gate holds up calls while it is closed.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil while open; guarded by mu
	enter  chan struct{} // gets one value for each call that is held up
}

func newGate() *gate { return &gate{enter: make(chan struct{}, 1000)} }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.closed)
	g.closed = nil
}

func (g *gate) pass() {
	g.mu.Lock()
	c := g.closed
	g.mu.Unlock()
	if c != nil {
		g.enter <- struct{}{}
		<-c
	}
}

// at makes a hook of the gate for some calls.
func (g *gate) at(calls ...replaytest.Call) func(replaytest.Call) error {
	return func(c replaytest.Call) error {
		for _, call := range calls {
			if c == call {
				g.pass()
			}
		}
		return nil
	}
}

// soon waits until a condition holds.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// never checks that a channel gets nothing for a moment.
func never(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
		t.Fatal(what)
	case <-time.After(20 * time.Millisecond):
	}
}

// dump is all that a journal gives, for comparison.
type dump struct {
	slots   string
	records string
	totals  cow.Totals
}

type reader interface {
	loads
	Slots(func(cow.SlotRecord) error) error
	List(string, func(string, []byte, uint64) error) error
	Value(string) ([]byte, uint64, error)
	Totals() cow.Totals
}

func dumpOf(t testing.TB, j reader) (d dump) {
	t.Helper()
	slots := make(map[cow.ID]cow.SlotRecord)
	if err := j.Slots(func(r cow.SlotRecord) error { slots[r.Slot] = r; return nil }); err != nil {
		t.Fatalf("Slots: %v", err)
	}
	d.slots = fmt.Sprint(slots) // sorted
	for id, r := range slots {
		n, err := loadCount(j, id, 0)
		if err != nil || uint64(n) != r.Count {
			t.Fatalf("slot %s: %d events, %v; its record says %d", id, n, err, r.Count)
		}
	}
	err := j.List("", func(key string, value []byte, version uint64) error {
		d.records += fmt.Sprintf("%q %q %d\n", key, value, version)
		v, x, err := j.Value(key)
		if err != nil || x != version || string(v) != string(value) {
			return errors.Join(err, fmt.Errorf("record %q: %q of version %d, listed %q of version %d", key, v, x, value, version))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	d.totals = j.Totals()
	return d
}

var _ reader = (*replay.Reader)(nil)
