package journaltest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

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
		m = &modelSlot{SlotRecord: cow.SlotRecord{Slot: g.Slot, Token: g.Token, Owner: g.Owner}}
		s.model[g.Slot] = m
		s.totals.SlotAllocations++
	case cow.OpAppend:
		if g.NewVersion == m.Version {
			s.Fatalf("append left the version at %d", m.Version)
		}
		m.events = append(m.events, g.Events...)
		m.Count, m.Bytes = g.Count, g.Bytes
		s.totals.EventsPosted += uint64(len(g.Events))
	case cow.OpTrim:
		m.events = m.events[g.Oldest-m.First:]
		m.First, m.Bytes = g.Oldest, m.Bytes-g.Gone
		if g.NewVersion != m.Version {
			s.Fatalf("a trim moved the version from %d to %d", m.Version, g.NewVersion)
		}
	case cow.OpTouch:
		m.PulledAt, m.StreamedAt = g.PulledAt, g.StreamedAt
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
	s.commit(cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:]), Owner: cow.HashToken(id[:8])})
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

// trimGroup makes the group that has the oldest n events of a slot leave.
func (s *suite) trimGroup(slot cow.ID, n int) cow.Group {
	m := s.model[slot]
	g := cow.Group{Op: cow.OpTrim, Slot: slot, First: m.First, Oldest: m.First + uint64(n)}
	for _, e := range m.events[:n] {
		g.Gone += uint64(len(e.JSON))
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
	want := m.events[min(max(from, m.First)-m.First, uint64(len(m.events))):]
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
		if a.Op == cow.OpTrim && first && a.Slot == slot && a.First > next {
			from, next = a.First, a.First
			return nil
		}
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
