// Package journaltest holds what tests of slots and tests of journals share: a
// journal in memory that plays a second writer and fails on demand, and the
// suite that every journal passes.
package journaltest

import (
	"bytes"
	"errors"
	"sync"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// ErrInjected is the cause of what FailNext makes fail.
var ErrInjected = errors.New("journaltest: injected failure")

// Memory is a journal and a set of records in memory. It copies all bytes it
// takes and gives. Its versions are those of a log shared by all slots, so
// they are unlike positions and have gaps. It keeps marks, and its Load gives
// the groups as they were written. NewMemory makes it; it must not be copied.
// All methods may be called concurrently.
type Memory struct {
	mu       sync.Mutex
	slots    map[cow.ID]*memSlot
	sequence uint64 // of the last act, in all slots
	totals   cow.Totals
	failures []failure
	hold     *hold
	loadHook func(cow.ID, uint64) error
	loaded   func()
	commits  int
	loads    int

	memRecords
	memFeed
}

type memSlot struct {
	token    cow.TokenHash
	owner    cow.TokenHash
	version  uint64
	first    uint64
	count    uint64
	bytes    uint64
	pulled   int64
	streamed int64
	appends  []cow.Append
}

var (
	_ cow.Journal = (*Memory)(nil)
	_ cow.Records = (*Memory)(nil)
)

// NewMemory returns an empty journal.
func NewMemory() *Memory {
	m := &Memory{
		slots:    make(map[cow.ID]*memSlot),
		sequence: 1_000_000, // a version is never a plausible position
	}
	m.records = make(map[string]memRecord)
	m.idle.L = &m.feedMu
	m.arrived.L = &m.feedMu
	return m
}

// Commit implements cow.Journal.
func (m *Memory) Commit(groups []cow.Group) {
	m.mu.Lock()
	h := m.hold
	m.mu.Unlock()
	if h != nil {
		h.enter.Do(func() { close(h.entered) })
		<-h.released
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits++
	for i := range groups {
		g := &groups[i]
		g.Outcome, g.NewVersion, g.Err = cow.Unknown, 0, nil
		var f failure
		if len(m.failures) > 0 {
			f, m.failures = m.failures[0], m.failures[1:]
			if !f.stored {
				g.Outcome = f.outcome
				if f.outcome != cow.Conflict {
					g.Err = ErrInjected
				}
				continue
			}
		}
		version, ok := m.actLocked(g, true)
		switch {
		case !ok:
			g.Outcome = cow.Conflict
		case f.stored && f.outcome != cow.Stored:
			g.Outcome, g.Err = f.outcome, ErrInjected
		default:
			g.Outcome, g.NewVersion = cow.Stored, version
		}
	}
}

// actLocked applies a group and gives it to the feed, one's own if that wants these.
func (m *Memory) actLocked(g *cow.Group, own bool) (version uint64, ok bool) {
	s := m.slots[g.Slot]
	if (s == nil) != (g.Op == cow.OpCreate) {
		return 0, false
	}
	if (g.Op == cow.OpAppend || g.Op == cow.OpRemove) && g.Version != s.version {
		return 0, false
	}
	switch g.Op {
	case cow.OpAppend:
		if g.First != s.count {
			panic("BUG: append with the current version at another position")
		}
		a := m.appendLocked(s, g.Slot, g.Events, g.Mark)
		if g.Count != s.count || g.Bytes != s.bytes && (s.first == 0 || g.Bytes < s.bytes) {
			panic("BUG: append with wrong counts")
		}
		m.publish(a, own)
	case cow.OpCreate:
		m.publish(m.createLocked(g.Slot, g.Token, g.Owner), own)
	case cow.OpRemove:
		m.publish(m.removeLocked(g.Slot), own)
		return m.sequence, true
	case cow.OpTrim:
		if g.First != s.first {
			return 0, false
		}
		m.publish(m.trimLocked(s, g.Slot, g.Oldest, g.Gone), own)
	case cow.OpTouch:
		s.pulled, s.streamed = g.PulledAt, g.StreamedAt
		m.publish(cow.Append{Op: cow.OpTouch, Slot: g.Slot, PulledAt: g.PulledAt, StreamedAt: g.StreamedAt}, own)
	default:
		panic("BUG: unknown operation")
	}
	return m.slots[g.Slot].version, true
}

func (m *Memory) createLocked(slot cow.ID, token, owner cow.TokenHash) cow.Append {
	m.sequence += 3
	m.totals.SlotAllocations++
	m.slots[slot] = &memSlot{token: token, owner: owner, version: m.sequence}
	return cow.Append{Op: cow.OpCreate, Slot: slot, Token: token, Owner: owner, Version: m.sequence}
}

// trimLocked takes the oldest events out of a slot. Readers may hold the list.
func (m *Memory) trimLocked(s *memSlot, slot cow.ID, to, gone uint64) cow.Append {
	var kept []cow.Append
	left := uint64(0)
	for _, a := range s.appends {
		for a.First < to && len(a.Events) > 0 {
			left += uint64(len(a.Events[0].JSON))
			a.First, a.Events = a.First+1, a.Events[1:]
		}
		if len(a.Events) > 0 {
			kept = append(kept, a)
		}
	}
	if to <= s.first || to > s.count || left != gone {
		panic("BUG: a trim of other events than there are")
	}
	s.appends, s.first, s.bytes = kept, to, s.bytes-gone
	return cow.Append{Op: cow.OpTrim, Slot: slot, Version: s.version, First: to, Gone: gone}
}

func (m *Memory) removeLocked(slot cow.ID) cow.Append {
	m.sequence += 3
	delete(m.slots, slot)
	return cow.Append{Op: cow.OpRemove, Slot: slot, Version: m.sequence}
}

func (m *Memory) appendLocked(s *memSlot, slot cow.ID, events []event.Event, mark uint64) cow.Append {
	m.sequence += 3
	a := copyAppend(cow.Append{
		Op: cow.OpAppend, Slot: slot, Version: m.sequence, First: s.count, Events: events, Mark: mark,
	})
	s.appends = append(s.appends, a)
	s.version = m.sequence
	s.count += uint64(len(events))
	for _, e := range events {
		s.bytes += uint64(len(e.JSON))
	}
	m.totals.EventsPosted += uint64(len(events))
	return a
}

func copyAppend(a cow.Append) cow.Append {
	events := make([]event.Event, len(a.Events))
	for i, e := range a.Events {
		events[i] = event.Event{JSON: bytes.Clone(e.JSON), IDOff: e.IDOff}
	}
	a.Events = events
	return a
}

// Load implements cow.Journal. After yield has returned, the bytes it was
// given are overwritten: whoever kept them sees that.
func (m *Memory) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	m.mu.Lock()
	m.loads++
	hook := m.loadHook
	m.mu.Unlock()
	if hook != nil {
		if err := hook(slot, from); err != nil {
			return err
		}
	}
	m.mu.Lock()
	s := m.slots[slot]
	var appends []cow.Append
	var trim cow.Append
	if s != nil {
		trim = cow.Append{Op: cow.OpTrim, Slot: slot, First: s.first, Version: s.version}
		appends = s.appends[:len(s.appends):len(s.appends)]
	}
	loaded := m.loaded
	m.mu.Unlock()
	if loaded != nil {
		loaded()
	}
	if s == nil {
		return cow.ErrNoSlot
	}
	if from < trim.First {
		if err := yield(&trim); err != nil {
			return err
		}
	}
	for _, a := range appends {
		if a.First+uint64(len(a.Events)) <= from {
			continue
		}
		c := copyAppend(a)
		if err := yield(&c); err != nil {
			return err
		}
		spoil(&c)
	}
	return nil
}

func spoil(a *cow.Append) {
	for _, e := range a.Events {
		for i := range e.JSON {
			e.JSON[i] = '!'
		}
	}
}

// Slots implements cow.Journal.
func (m *Memory) Slots(yield func(cow.SlotRecord) error) error {
	m.mu.Lock()
	records := make([]cow.SlotRecord, 0, len(m.slots))
	for id, s := range m.slots {
		records = append(records, cow.SlotRecord{
			Slot: id, Token: s.token, Owner: s.owner, Version: s.version, First: s.first, Count: s.count, Bytes: s.bytes, PulledAt: s.pulled, StreamedAt: s.streamed,
		})
	}
	m.mu.Unlock()
	for _, r := range records {
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

// Totals implements cow.Journal.
func (m *Memory) Totals() cow.Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.totals.Add(m.countedTotals())
}

// Close implements cow.Journal. It ends the feed; what was stored stays for
// Reopen.
func (m *Memory) Close() error {
	m.closeFeed()
	return nil
}

// Reopen returns the journal as a next process would find it: without hooks,
// failures, feed and watchers.
func (m *Memory) Reopen() *Memory {
	m.closeFeed()
	m.mu.Lock()
	defer m.mu.Unlock()
	n := NewMemory()
	n.slots, n.sequence, n.totals = m.slots, m.sequence, m.totals
	m.memRecords.mu.Lock()
	defer m.memRecords.mu.Unlock()
	n.records, n.recordVersion, n.counted = m.records, m.recordVersion, m.counted
	return n
}
