package journaltest

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

func testSlot(t *testing.T, s *suite) {
	s.check()
	id := s.create()
	s.check()
	s.append(id, 1, 100)
	s.append(id, 3, 100)
	s.check()
	if _, err := load(s.j, cow.NewID(), 0); !errors.Is(err, cow.ErrNoSlot) {
		t.Fatalf("load of an unknown slot: %v, want ErrNoSlot", err)
	}
	if _, err := load(s.j, cow.NewID(), 7); !errors.Is(err, cow.ErrNoSlot) {
		t.Fatalf("load of an unknown slot from 7: %v, want ErrNoSlot", err)
	}
	s.j.Commit(nil)
	s.check()
	s.outcome(cow.Conflict, cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken([]byte("other"))})
	s.check()
}

// testVersions: a group that was decided on another version than the slot's
// is a conflict and leaves nothing behind (I2, I5).
func testVersions(t *testing.T, s *suite) {
	id := s.create()
	early := s.appendGroup(id, sampleEvent(100, 100))
	s.append(id, 2, 100)
	stale := s.appendGroup(id, sampleEvent(101, 100), sampleEvent(102, 100))
	s.append(id, 1, 100)
	s.outcome(cow.Conflict, early)
	s.outcome(cow.Conflict, stale)
	s.outcome(cow.Conflict, cow.Group{Op: cow.OpRemove, Slot: id, Version: stale.Version})
	s.check()
	unknown := stale
	unknown.Slot = cow.NewID()
	s.outcome(cow.Conflict, unknown)
	s.outcome(cow.Conflict, cow.Group{Op: cow.OpRemove, Slot: cow.NewID()})
	s.outcome(cow.Conflict, cow.Group{Op: cow.OpTouch, Slot: cow.NewID(), PulledAt: 1})
	s.check()
	s.append(id, 1, 100)
	s.check()
	s.reopen()
	s.outcome(cow.Conflict, early)
	s.outcome(cow.Conflict, stale)
	s.check()
	s.append(id, 1, 100)
	s.check()
}

// testBatch: groups of one batch have outcomes of their own.
func testBatch(t *testing.T, s *suite) {
	var ids []cow.ID
	for range 20 {
		ids = append(ids, s.create())
	}
	for round := range 5 {
		var groups []cow.Group
		for i, id := range ids {
			var events []event.Event
			for n := range 1 + (i+round)%4 {
				events = append(events, sampleEvent(1000*round+n, 80))
			}
			g := s.appendGroup(id, events...)
			if i%7 == 3 {
				g.Version, g.First = g.Version+1, g.First+1
				g.Count++
			}
			groups = append(groups, g)
		}
		fresh := cow.NewID()
		groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: fresh, Token: cow.HashToken(fresh[:])})
		s.j.Commit(groups)
		for i := range groups {
			g := &groups[i]
			if i%7 == 3 && g.Op == cow.OpAppend {
				if g.Outcome != cow.Conflict {
					t.Fatalf("stale group %d: outcome %d, want conflict", i, g.Outcome)
				}
				continue
			}
			if g.Outcome != cow.Stored {
				t.Fatalf("group %d: outcome %d (%v), want stored", i, g.Outcome, g.Err)
			}
			s.stored(g)
		}
		s.check()
	}
	s.reopen()
	s.check()
}

func testRemove(t *testing.T, s *suite) {
	for _, n := range []int{0, 1, 64, 65, 1000} {
		id, neighbour := s.create(), s.create()
		s.append(neighbour, 2, 100)
		if n > 0 {
			s.append(id, n, 100)
		}
		s.commit(cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: 5, StreamedAt: 6})
		s.commit(cow.Group{Op: cow.OpRemove, Slot: id, Version: s.model[id].Version})
		gone := func() {
			t.Helper()
			if _, err := load(s.j, id, 0); !errors.Is(err, cow.ErrNoSlot) {
				t.Fatalf("load of a removed slot of %d events: %v, want ErrNoSlot", n, err)
			}
			s.check()
		}
		gone()
		s.outcome(cow.Conflict, cow.Group{Op: cow.OpRemove, Slot: id})
		s.reopen()
		gone()
		// An id may come back, with nothing of what it had.
		s.commit(cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken([]byte("again"))})
		s.check()
		s.append(id, 3, 100)
		s.check()
	}
}

func testTouch(t *testing.T, s *suite) {
	id := s.create()
	for i, at := range []int64{1_700_000_000, 1_700_000_009, 1, 1 << 40} {
		s.commit(cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: at, StreamedAt: at / 2})
		s.check()
		s.append(id, 1+i, 100)
		s.check()
	}
	s.reopen()
	s.check()
}

func testSlots(t *testing.T, s *suite) {
	for i := range 100 {
		id := s.create()
		if i%3 > 0 {
			s.append(id, i%3, 100)
		}
		if i%4 == 1 {
			s.commit(cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: int64(i)})
		}
	}
	s.check()
	s.reopen()
	s.check()
}

// testReopen: everything stored is there after a close, also after a second
// one without a write between.
func testReopen(t *testing.T, s *suite) {
	s.reopen()
	s.check()
	id := s.create()
	for range 4 {
		s.append(id, 10, 100)
		s.reopen()
		s.check()
		s.reopen()
		s.check()
	}
}

// testTrim: the oldest events of a slot leave, positions go on, and the slot's version
// stays. A trim that was decided before another does nothing. An append that was decided
// before a trim holds.
func testTrim(t *testing.T, s *suite) {
	id, other := s.create(), s.create()
	for i := range 6 {
		s.append(id, 1+100*i, 90)
	}
	s.append(other, 3, 90)
	check := func() {
		t.Helper()
		s.check()
		for _, from := range []uint64{0, 1, 5, 99, 100, 101, 102, 700, s.model[id].First, s.model[id].Count, s.model[id].Count + 1} {
			s.checkLoad(id, from)
		}
	}
	for _, n := range []int{1, 99, 7, 300} {
		g := s.trimGroup(id, n)
		late := s.appendGroup(id, sampleEvent(n, 80))
		s.commit(g)
		s.outcome(cow.Conflict, g)
		late.Bytes = s.model[id].Bytes + uint64(len(late.Events[0].JSON))
		s.commit(late)
		check()
	}
	s.reopen()
	check()
	for _, n := range []int{len(s.model[id].events) - 2, 1, 1} { // all leave in the end
		s.commit(s.trimGroup(id, n), s.trimGroup(other, 1))
		check()
		s.reopen()
		check()
	}
	s.append(id, 3, 90)
	check()
	s.commit(s.trimGroup(id, 1), s.appendGroup(other, sampleEvent(1, 50)))
	s.reopen()
	check()
	s.commit(cow.Group{Op: cow.OpRemove, Slot: id, Version: s.model[id].Version})
	s.outcome(cow.Conflict, cow.Group{Op: cow.OpTrim, Slot: id, Oldest: 1, Gone: 1})
	s.check()
	s.reopen()
	s.check()
}

// testRandom runs a random script against the model; a failure prints the
// seed.
func testRandom(t *testing.T, s *suite) {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	rng := rand.New(rand.NewPCG(seed, 1))
	var ids []cow.ID
	for step := range 300 {
		used := make(map[cow.ID]bool)
		var groups []cow.Group
		for range 1 + rng.IntN(6) {
			if len(ids) == 0 || rng.IntN(6) == 0 {
				id := cow.NewID()
				groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:])})
				continue
			}
			id := ids[rng.IntN(len(ids))]
			if used[id] {
				continue
			}
			used[id] = true
			switch n := len(s.model[id].events); rng.IntN(10) {
			case 2:
				if n > 0 {
					groups = append(groups, s.trimGroup(id, 1+rng.IntN(n)))
				}
			case 0:
				groups = append(groups, cow.Group{Op: cow.OpRemove, Slot: id, Version: s.model[id].Version})
			case 1:
				groups = append(groups, cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: rng.Int64N(1 << 33), StreamedAt: rng.Int64N(2) * rng.Int64N(1<<33)})
			default:
				var events []event.Event
				for range 1 + rng.IntN(40) {
					events = append(events, sampleEvent(rng.IntN(1e6), 40+rng.IntN(400)))
				}
				groups = append(groups, s.appendGroup(id, events...))
			}
		}
		s.commit(groups...)
		ids = slices.SortedFunc(maps.Keys(s.model), func(a, b cow.ID) int { return bytes.Compare(a[:], b[:]) })
		if step%60 == 59 {
			s.check()
			s.reopen()
			s.check()
		}
	}
}
