package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// Open gives a suite an empty journal and its records. reopen closes both and
// opens what they stored again; it may be called any number of times. What is
// open at the end of the test is closed by a cleanup.
type Open = func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records))

// Run holds a journal and its records to what package cow relies on.
func Run(t *testing.T, open Open) {
	tests := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"Slot", testSlot},
		{"Versions", testVersions},
		{"Batch", testBatch},
		{"LoadFrom", testLoadFrom},
		{"LoadStops", testLoadStops},
		{"OwnBytes", testOwnBytes},
		{"LargeEvents", testLargeEvents},
		{"Remove", testRemove},
		{"Touch", testTouch},
		{"Slots", testSlots},
		{"Reopen", testReopen},
		{"LoadWhileCommitting", testLoadWhileCommitting},
		{"Random", testRandom},
		{"Record", testRecord},
		{"RecordVersions", testRecordVersions},
		{"RecordList", testRecordList},
		{"RecordRace", testRecordRace},
		{"RecordWatch", testRecordWatch},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, model: make(map[cow.ID]*modelSlot)}
			s.j, s.r, s.reopenFunc = open(t)
			test.run(t, s)
		})
	}
}

// suite is a journal beside a model of what it must hold.
type suite struct {
	*testing.T
	j          cow.Journal
	r          cow.Records
	reopenFunc func() (cow.Journal, cow.Records)
	model      map[cow.ID]*modelSlot
	totals     cow.Totals
}

type modelSlot struct {
	cow.SlotRecord
	events []event.Event
}

func (s *suite) reopen() { s.j, s.r = s.reopenFunc() }

// commit commits groups that must all come back as stored.
func (s *suite) commit(groups ...cow.Group) {
	s.Helper()
	s.j.Commit(groups)
	for i := range groups {
		g := &groups[i]
		if g.Outcome != cow.Stored || g.Err != nil {
			s.Fatalf("group %d (op %d): outcome %d, error %v; want stored", i, g.Op, g.Outcome, g.Err)
		}
		s.stored(g)
	}
}

// stored moves the model.
func (s *suite) stored(g *cow.Group) {
	s.Helper()
	m := s.model[g.Slot]
	switch g.Op {
	case cow.OpCreate:
		m = &modelSlot{SlotRecord: cow.SlotRecord{Slot: g.Slot, Token: g.Token}}
		s.model[g.Slot] = m
		s.totals.SlotAllocations++
	case cow.OpAppend:
		if g.NewVersion == m.Version {
			s.Fatalf("append left the version at %d", m.Version)
		}
		m.events = append(m.events, g.Events...)
		m.Count, m.Bytes = g.Count, g.Bytes
		s.totals.EventsPosted += uint64(len(g.Events))
	case cow.OpTouch:
		m.PulledAt = g.PulledAt
		if g.NewVersion != m.Version {
			s.Fatalf("touch moved the version from %d to %d", m.Version, g.NewVersion)
		}
	case cow.OpRemove:
		delete(s.model, g.Slot)
		return
	}
	m.Version = g.NewVersion
}

func (s *suite) outcome(want cow.Outcome, g cow.Group) {
	s.Helper()
	groups := []cow.Group{g}
	s.j.Commit(groups)
	if got := groups[0].Outcome; got != want {
		s.Fatalf("op %d: outcome %d (error %v), want %d", g.Op, got, groups[0].Err, want)
	}
}

// sampleEvent makes the n-th event, of about size bytes, with or without an id.
func sampleEvent(n, size int) event.Event {
	pad := strings.Repeat("x", max(0, size-40))
	if n%5 == 4 {
		return event.Event{JSON: fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, pad)}
	}
	json := fmt.Appendf(nil, `{"n":%d,"pad":%q,"event_id":"id-%d"}`, n, pad, n)
	return event.Event{JSON: json, IDOff: uint32(bytes.LastIndexByte(json, ':') + 1)}
}

func (s *suite) create() cow.ID {
	id := cow.NewID()
	s.commit(cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:])})
	return id
}

// appendGroup makes the group that appends events to a slot as it is.
func (s *suite) appendGroup(slot cow.ID, events ...event.Event) cow.Group {
	m := s.model[slot]
	g := cow.Group{
		Op: cow.OpAppend, Slot: slot, Version: m.Version, First: m.Count, Events: events,
		Count: m.Count + uint64(len(events)), Bytes: m.Bytes, Mark: rand.Uint64(),
	}
	for _, e := range events {
		g.Bytes += uint64(len(e.JSON))
	}
	return g
}

func (s *suite) append(slot cow.ID, n, size int) {
	s.Helper()
	events := make([]event.Event, n)
	for i := range events {
		events[i] = sampleEvent(int(s.model[slot].Count)+i, size)
	}
	s.commit(s.appendGroup(slot, events...))
}

// check compares all that the journal gives with the model.
func (s *suite) check() {
	s.Helper()
	for id := range s.model {
		s.checkLoad(id, 0)
	}
	got := make(map[cow.ID]cow.SlotRecord)
	if err := s.j.Slots(func(r cow.SlotRecord) error {
		if _, ok := got[r.Slot]; ok {
			s.Fatalf("slot %s is given twice", r.Slot)
		}
		got[r.Slot] = r
		return nil
	}); err != nil {
		s.Fatalf("Slots: %v", err)
	}
	want := make(map[cow.ID]cow.SlotRecord)
	for id, m := range s.model {
		want[id] = m.SlotRecord
	}
	if !maps.Equal(got, want) {
		s.Fatalf("Slots gives\n%+v\nwant\n%+v", got, want)
	}
	if got := s.j.Totals(); got != s.totals {
		s.Fatalf("totals %+v, want %+v", got, s.totals)
	}
}

func (s *suite) checkLoad(slot cow.ID, from uint64) {
	s.Helper()
	m := s.model[slot]
	got, err := load(s.j, slot, from)
	if err != nil {
		s.Fatalf("load of slot %s from %d: %v", slot, from, err)
	}
	want := m.events[min(from, uint64(len(m.events))):]
	if len(got) != len(want) {
		s.Fatalf("load of slot %s from %d gives %d events, want %d", slot, from, len(got), len(want))
	}
	for i := range got {
		if got[i].IDOff != want[i].IDOff || !bytes.Equal(got[i].JSON, want[i].JSON) {
			s.Fatalf("slot %s position %d: %s (id at %d), want %s (id at %d)", slot, from+uint64(i),
				got[i].JSON, got[i].IDOff, want[i].JSON, want[i].IDOff)
		}
	}
}

// load collects the events from a position on and checks that each append
// follows the one before it.
func load(j cow.Journal, slot cow.ID, from uint64) ([]event.Event, error) {
	var events []event.Event
	next := from
	first := true
	err := j.Load(slot, from, func(a *cow.Append) error {
		if a.Op != cow.OpAppend || a.Slot != slot || len(a.Events) == 0 {
			return fmt.Errorf("append of slot %s with op %d and %d events", a.Slot, a.Op, len(a.Events))
		}
		list := a.Events
		if first && a.First < from {
			// The append that holds from may start before it, but not end there.
			skip := from - a.First
			if skip >= uint64(len(list)) {
				return fmt.Errorf("append of positions [%d, %d) in a load from %d", a.First, a.First+uint64(len(list)), from)
			}
			list = list[skip:]
		} else if a.First != next {
			return fmt.Errorf("append at position %d, want %d", a.First, next)
		}
		first = false
		next = a.First + uint64(len(a.Events))
		for _, e := range list {
			events = append(events, event.Event{JSON: bytes.Clone(e.JSON), IDOff: e.IDOff})
		}
		return nil
	})
	return events, err
}

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

func testLoadFrom(t *testing.T, s *suite) {
	id, other := s.create(), s.create()
	s.append(other, 3, 100)
	for _, n := range []int{1, 5, 1, 300, 2, 700} {
		s.append(id, n, 90)
	}
	count := s.model[id].Count
	for _, from := range []uint64{0, 1, 5, 6, 7, 8, 306, 307, 308, 309, count - 1, count, count + 1, count + 1000, 1 << 40, 1<<64 - 1} {
		s.checkLoad(id, from)
	}
	empty := s.create()
	s.checkLoad(empty, 0)
	s.checkLoad(empty, 9)
}

// testLoadStops: yield's error ends a load and comes back as it is.
func testLoadStops(t *testing.T, s *suite) {
	id := s.create()
	for range 5 {
		s.append(id, 400, 90)
	}
	stop := errors.New("stop")
	calls := 0
	err := s.j.Load(id, 0, func(*cow.Append) error {
		calls++
		if calls == 2 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 2 {
		t.Fatalf("load returned %v after %d calls, want the error of the second", err, calls)
	}
	calls = 0
	s.create()
	if err := s.j.Slots(func(cow.SlotRecord) error { calls++; return stop }); err != stop || calls != 1 {
		t.Fatalf("Slots returned %v after %d calls, want the error of the first", err, calls)
	}
	s.check()
}

// testOwnBytes: the journal keeps no reference to what it was given.
func testOwnBytes(t *testing.T, s *suite) {
	id := s.create()
	e := sampleEvent(0, 100)
	mine := event.Event{JSON: bytes.Clone(e.JSON), IDOff: e.IDOff}
	groups := []cow.Group{s.appendGroup(id, mine)}
	s.j.Commit(groups)
	if groups[0].Outcome != cow.Stored {
		t.Fatalf("outcome %d, want stored", groups[0].Outcome)
	}
	groups[0].Events = []event.Event{e}
	s.stored(&groups[0])
	clear(mine.JSON)
	s.check()
}

func testLargeEvents(t *testing.T, s *suite) {
	id := s.create()
	var events []event.Event
	for i := range 16 {
		events = append(events, sampleEvent(i, event.MaxBytes-100))
	}
	s.commit(s.appendGroup(id, events...))
	s.append(id, 1, 10)
	s.append(id, 1, event.MaxBytes-100)
	s.check()
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
		s.commit(cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: 5})
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
		s.commit(cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: at})
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

// testLoadWhileCommitting: a load sees a prefix that ends at a group, never
// less than what was stored when it began.
func testLoadWhileCommitting(t *testing.T, s *suite) {
	const rounds, size = 100, 7
	id := s.create()
	var stored atomic.Uint64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := stored.Load()
				events, err := load(s.j, id, 0)
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				if n := uint64(len(events)); n < before || n%size != 0 {
					t.Errorf("load gives %d events, want a multiple of %d and at least %d", n, size, before)
					return
				}
				for i, e := range events {
					if want := sampleEvent(i, 120); !bytes.Equal(e.JSON, want.JSON) {
						t.Errorf("position %d: %s", i, e.JSON)
						return
					}
				}
			}
		})
	}
	for range rounds {
		s.append(id, size, 120)
		stored.Store(s.model[id].Count)
	}
	close(stop)
	wg.Wait()
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
			switch rng.IntN(10) {
			case 0:
				groups = append(groups, cow.Group{Op: cow.OpRemove, Slot: id, Version: s.model[id].Version})
			case 1:
				groups = append(groups, cow.Group{Op: cow.OpTouch, Slot: id, Version: s.model[id].Version, PulledAt: rng.Int64N(1 << 33)})
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
