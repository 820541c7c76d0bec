package cow_test

import (
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// gated is a journal whose commits wait to be let through, one by one.
type gated struct {
	*journaltest.Memory
	entered chan []cow.Op // of the groups of a commit that waits
	pass    chan struct{}
}

func (g *gated) Commit(groups []cow.Group) {
	ops := make([]cow.Op, len(groups))
	for i := range groups {
		ops[i] = groups[i].Op
	}
	g.entered <- ops
	<-g.pass
	g.Memory.Commit(groups)
}

func openGated(t *testing.T) (*fixture, *gated, []*cow.Slot) {
	t.Helper()
	g := &gated{journaltest.NewMemory(), make(chan []cow.Op), make(chan struct{})}
	s, err := cow.Open(g, g, cow.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{TB: t, Store: s, m: g.Memory}
	t.Cleanup(f.close)
	var slots []*cow.Slot
	for range 2 {
		made := make(chan cow.ID)
		go func() {
			id, _, _, err := s.Allocate()
			if err != nil {
				t.Error(err)
			}
			made <- id
		}()
		<-g.entered
		g.pass <- struct{}{}
		slots = append(slots, s.Slot(<-made))
	}
	return f, g, slots
}

// A landed batch is visible and acknowledged while the next batch, of other slots,
// is at the journal. Nothing of the next one is (I3, I4).
func TestCommit_I3I4_AcknowledgesWhileTheNextIsWritten(t *testing.T) {
	f, g, slots := openGated(t)
	a := f.later(slots[0], ev("a"))
	<-g.entered
	b := f.queued(slots[1], ev("b"))
	g.pass <- struct{}{}
	<-g.entered // of b
	if got := f.wait(a); got.err != nil || got.dup {
		t.Fatalf("a: %+v", got)
	}
	f.holds(slots[0], ev("a"))
	f.holds(slots[1])
	f.unanswered(b, "while its commit is held")
	g.pass <- struct{}{}
	if got := f.wait(b); got.err != nil || got.dup {
		t.Fatalf("b: %+v", got)
	}
	f.holds(slots[1], ev("b"))
}

// A batch that has a slot in common with the landed one is sent when that is
// finished. Then it has all that waits, to all slots.
func TestCommit_I5_DecidesOnWhatHasLanded(t *testing.T) {
	f, g, slots := openGated(t)
	for _, refused := range []bool{false, true} {
		name := map[bool]string{false: "stored", true: "refused"}[refused]
		first := f.later(slots[0], ev(name))
		<-g.entered
		again := f.queued(slots[0], ev(name))
		other := f.queued(slots[1], ev(name))
		if refused {
			f.m.FailNext(cow.Refused, false)
		}
		g.pass <- struct{}{}
		ops := <-g.entered
		if got := f.wait(first); (got.err != nil) != refused {
			t.Fatalf("%s: the first: %+v", name, got)
		}
		want := 1 // of the other slot
		if refused {
			want = 2
		}
		if len(ops) != want {
			t.Errorf("%s: the next batch has %d groups, want %d", name, len(ops), want)
		}
		g.pass <- struct{}{}
		if got := f.wait(again); got.err != nil || got.dup == refused {
			t.Errorf("%s: the same again: %+v", name, got)
		}
		if got := f.wait(other); got.err != nil {
			t.Errorf("%s: the other: %+v", name, got)
		}
	}
	f.holds(slots[0], ev("stored"), ev("refused"))
	f.holds(slots[1], ev("stored"), ev("refused"))
}

// A removal waits for the append before it. A post behind it finds no slot.
func TestCommit_RemovalBehindAnAppendThatHasLanded(t *testing.T) {
	f, g, slots := openGated(t)
	first := f.later(slots[0], ev("a"))
	<-g.entered
	removed := make(chan error, 1)
	before, _ := f.Queue()
	go func() { removed <- f.Remove(slots[0]) }()
	f.until("the removal to be queued", func() bool { n, _ := f.Queue(); return n > before })
	g.pass <- struct{}{}
	if ops := <-g.entered; len(ops) != 1 || ops[0] != cow.OpRemove {
		t.Fatalf("the next batch is %v, want the removal", ops)
	}
	if got := f.wait(first); got.err != nil {
		t.Fatal(got.err)
	}
	late := f.queued(slots[0], ev("late"))
	g.pass <- struct{}{}
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	if got := f.wait(late); got.err != cow.ErrNoSlot {
		t.Errorf("a post behind the removal: %v", got.err)
	}
}
