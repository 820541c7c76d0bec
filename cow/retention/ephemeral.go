package retention

import (
	"maps"
	"sync"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// Events of ephemeral kinds may have a shorter time. They leave from the front of a slot as
// all do: one that stands behind an event of another kind stays until that has left, and
// then for its own time.
//
// Which slots they are in, and since when, is known in memory alone. So a relay that starts
// again counts from then, and no setting of the clock matters. A mark notes the ends of all
// slots that have changed. When it is old enough, the events at the front of these slots
// are read, up to the first that is not ephemeral. What stands in front of a slot without
// an ephemeral event there is remembered, so it is read once.
type ephemeral struct {
	mu    sync.Mutex // guards slots: acts note what they find
	slots map[cow.ID]ephemeralSlot
	marks []ephemeralMark // the oldest first
	due   time.Time       // when the next mark is
	bytes int64           // that the store is charged
}

// ephemeralSlot is what is known of a slot that holds events.
type ephemeralSlot struct {
	marked uint32 // position behind what a mark has noted; 0: nothing
	stays  uint32 // position of an event in front that is not ephemeral, plus one; 0: none is known
}

// ephemeralMark notes ends of slots: all before them had come by then.
type ephemeralMark struct {
	at   time.Time
	ends []entry
}

const (
	ephemeralSlotBytes  = 64 // of the table, for each slot
	ephemeralEntryBytes = 24 // of a mark
)

// ephemeralGrain is the time between two marks: so nothing stays longer than by an eighth,
// and two turns.
func (p Policy) ephemeralGrain() time.Duration { return max(p.Ephemeral/grains, leastGap) }

// sweepEphemeral does once what the time of ephemeral events asks for. now is of the
// monotonic clock.
func (s *Sweeper) sweepEphemeral(now time.Time) error {
	e := &s.ephemeral
	if s.Ephemeral == 0 || now.Before(e.due) {
		return nil
	}
	defer s.chargeEphemeral()
	if !s.mayTrim { // it begins when they may leave
		e.slots, e.marks = nil, nil
		return nil
	}
	e.due = now.Add(s.ephemeralGrain())
	s.markEphemeral(now)
	for len(e.marks) > 0 && now.Sub(e.marks[0].at) >= s.Ephemeral+s.lateness(s.ephemeralGrain()) {
		if err := s.endEphemeral(e.marks[0]); err != nil {
			return err
		}
		e.marks[0] = ephemeralMark{}
		e.marks = e.marks[1:]
	}
	return nil
}

// markEphemeral notes the slots that have changed.
func (s *Sweeper) markEphemeral(now time.Time) {
	e := &s.ephemeral
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.slots == nil {
		e.slots = make(map[cow.ID]ephemeralSlot)
	}
	m := ephemeralMark{at: now}
	for slot := range s.store.All {
		first, end := slot.Positions()
		known := e.slots[slot.ID()]
		if first == end || known.marked == uint32(end) || known.stays == uint32(first)+1 {
			continue
		}
		m.ends = append(m.ends, entry{slot.ID(), end})
		e.slots[slot.ID()] = ephemeralSlot{marked: uint32(end)}
	}
	if len(m.ends) > 0 {
		e.marks = append(e.marks, m)
	}
	if len(e.slots) > s.store.Len() { // some are gone
		maps.DeleteFunc(e.slots, func(id cow.ID, _ ephemeralSlot) bool { return s.store.Slot(id) == nil })
	}
}

// endEphemeral has the events leave that a mark names, as far as they are ephemeral and
// stand in front.
func (s *Sweeper) endEphemeral(m ephemeralMark) error {
	a := s.newActs()
	a.looks = true
	for _, e := range m.ends {
		slot := s.store.Slot(e.slot)
		if slot == nil {
			continue
		}
		if first, _ := slot.Positions(); first >= e.end {
			continue
		}
		if !a.do(func() error { return s.trimEphemeral(slot, e.end) }) {
			break
		}
	}
	return a.wait("ephemeral-ttl")
}

func (s *Sweeper) trimEphemeral(slot *cow.Slot, end uint64) error {
	e := &s.ephemeral
	e.mu.Lock()
	known := e.slots[slot.ID()]
	e.mu.Unlock()
	first, _ := slot.Positions()
	if known.stays == uint32(first)+1 {
		return nil
	}
	to, err := s.store.While(slot, end, event.Ephemeral)
	if err != nil {
		return err
	}
	if to < end { // what stands behind it is noted when it has left
		e.mu.Lock()
		e.slots[slot.ID()] = ephemeralSlot{stays: uint32(to) + 1}
		e.mu.Unlock()
	}
	if to <= first {
		return nil
	}
	n, _, err := s.store.Trim(slot, to)
	s.store.Stats().EphemeralTrimmed.Add(n)
	return notConflict(err)
}

// chargeEphemeral has the store know what the marks take.
func (s *Sweeper) chargeEphemeral() {
	e := &s.ephemeral
	n := int64(len(e.slots)) * ephemeralSlotBytes
	for _, m := range e.marks {
		n += int64(cap(m.ends)) * ephemeralEntryBytes
	}
	s.store.Charge(n - e.bytes)
	e.bytes = n
}

// ephemeralBehind is for how long something should have left that has not.
func (s *Sweeper) ephemeralBehind() time.Duration {
	if len(s.ephemeral.marks) == 0 {
		return 0
	}
	return time.Since(s.ephemeral.marks[0].at) - s.Ephemeral - s.lateness(s.ephemeralGrain()) - s.ephemeralGrain()
}
