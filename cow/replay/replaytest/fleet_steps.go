package replaytest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

func (m *fleetRelay) step(n int) {
	r := m.r
	switch k := m.rng.IntN(100); {
	case k < 2 && r.Restarts:
		m.restart()
	case k < 10:
		m.create()
	case k < 12:
		m.remove()
	case k < 18:
		if id, ok := m.slot(); ok {
			m.j.Commit([]cow.Group{{Op: cow.OpTouch, Slot: id, PulledAt: int64(n), StreamedAt: int64(m.name)}})
		}
	case k < 30:
		m.raise()
	case k < 34:
		m.barrier()
	case k < 36:
		m.j.Count(cow.Totals{PairOpens: 1})
	case k < 40:
		var wg sync.WaitGroup
		for i := range 5 {
			key := fmt.Sprintf("own/%d/%d", m.name, i)
			wg.Go(func() {
				_, version, _ := m.j.Value(key)
				if version != 0 && i%2 == 0 {
					m.j.Delete(key, version)
				} else {
					m.j.Put(key, fmt.Appendf(nil, "%d of step %d", i, n), version, cow.Totals{HandleClaims: 1})
				}
			})
		}
		m.append(1)
		wg.Wait()
	case k == 40 && r.Large:
		m.large()
	case k < 47:
		m.trim()
	default:
		m.append(1 + m.rng.IntN(4))
	}
}

// large appends more than one entry of the log takes.
func (m *fleetRelay) large() {
	id, ok := m.slot()
	if !ok {
		return
	}
	c, err := m.counts(id)
	if err != nil || c.size > cow.MaxSlotBytes/2 {
		return
	}
	g := m.events(id, c, 8)
	for i := range g.Events {
		e := &g.Events[i]
		pad := bytes.Repeat([]byte{'x'}, 200_000)
		e.JSON = slices.Insert(e.JSON, len(e.JSON)-2, pad...)
		g.Bytes += uint64(len(pad))
	}
	m.commit([]cow.Group{g})
}

func (m *fleetRelay) slot() (cow.ID, bool) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if len(m.r.slots) == 0 {
		return cow.ID{}, false
	}
	return m.r.slots[m.rng.IntN(len(m.r.slots))], true
}

func (m *fleetRelay) create() {
	var id cow.ID
	for i := range id {
		id[i] = byte(m.rng.Uint32())
	}
	groups := []cow.Group{{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:]), Owner: cow.HashToken(id[1:])}, m.events(id, counts{}, 1+m.rng.IntN(3))}
	m.commit(groups)
	if groups[0].Outcome == cow.Stored {
		m.r.mu.Lock()
		m.r.slots = append(m.r.slots, id)
		m.r.mu.Unlock()
	}
}

func (m *fleetRelay) remove() {
	id, ok := m.slot()
	if !ok {
		return
	}
	m.r.mu.Lock()
	m.r.removed[id] = true // its events may be gone
	m.r.slots = slices.DeleteFunc(m.r.slots, func(o cow.ID) bool { return o == id })
	m.r.mu.Unlock()
	c, err := m.counts(id)
	if err != nil {
		return
	}
	m.commit([]cow.Group{{Op: cow.OpRemove, Slot: id, Version: c.count}})
}

// counts are what a load of a slot gives: the events at positions [first, count).
type counts struct {
	first, count, size uint64
	lengths            []int // of the events
}

func (m *fleetRelay) counts(id cow.ID) (c counts, err error) {
	err = m.j.Load(id, 0, func(a *cow.Append) error {
		if a.Op == cow.OpTrim {
			if a.First <= c.count || c.count > c.first {
				return fmt.Errorf("slot %s: a trim to position %d behind %d events from %d on", id, a.First, c.count-c.first, c.first)
			}
			c.first, c.count = a.First, a.First
			return nil
		}
		if a.First != c.count {
			return fmt.Errorf("slot %s: position %d behind %d", id, a.First, c.count)
		}
		for _, e := range a.Events {
			c.count, c.size, c.lengths = c.count+1, c.size+uint64(len(e.JSON)), append(c.lengths, len(e.JSON))
		}
		return nil
	})
	if err != nil && !errors.Is(err, cow.ErrNoSlot) {
		panic(err)
	}
	return c, err
}

// trim has some of a slot's oldest events leave, or all, and perhaps appends beside it. What
// the group says of the slot is as old as the load.
func (m *fleetRelay) trim() {
	id, ok := m.slot()
	if !ok {
		return
	}
	c, err := m.counts(id)
	n := len(c.lengths)
	if err != nil || n == 0 {
		return
	}
	if n = 1 + m.rng.IntN(n); m.rng.IntN(6) == 0 {
		n = len(c.lengths)
	}
	g := cow.Group{Op: cow.OpTrim, Slot: id, First: c.first, Oldest: c.first + uint64(n)}
	for _, length := range c.lengths[:n] {
		g.Gone += uint64(length)
	}
	m.r.mu.Lock()
	if m.r.asked[id] == nil {
		m.r.asked[id] = make(map[uint64]bool)
	}
	m.r.asked[id][g.Oldest] = true // also if the outcome is unknown
	m.r.mu.Unlock()
	groups := []cow.Group{g}
	if m.rng.IntN(2) == 0 { // decided before the trim, and perhaps stored behind it
		groups = append(groups, m.events(id, c, 1+m.rng.IntN(3)))
	}
	m.commit(groups)
}

// events makes an append of events that no other has.
func (m *fleetRelay) events(id cow.ID, c counts, n int) cow.Group {
	g := cow.Group{Op: cow.OpAppend, Slot: id, Version: c.count, First: c.count, Count: c.count, Bytes: c.size, Mark: m.rng.Uint64()}
	for range n {
		m.made++
		json := fmt.Appendf(nil, `{"event_id":"%d-%d","pad":"%s"}`, m.name, m.made, bytes.Repeat([]byte{'x'}, m.rng.IntN(300)))
		g.Events = append(g.Events, event.Event{JSON: json, IDOff: 12})
		g.Count, g.Bytes = g.Count+1, g.Bytes+uint64(len(json))
	}
	return g
}

// append appends to some slots in one commit.
func (m *fleetRelay) append(slots int) {
	var groups []cow.Group
	used := make(map[cow.ID]bool)
	for range slots {
		id, ok := m.slot()
		if !ok || used[id] {
			continue
		}
		used[id] = true
		if c, err := m.counts(id); err == nil {
			groups = append(groups, m.events(id, c, 1+m.rng.IntN(5)))
		}
	}
	m.commit(groups)
}

// commit notes what must be there then.
func (m *fleetRelay) commit(groups []cow.Group) {
	m.j.Commit(groups)
	r := m.r
	m.mu.Lock()
	defer m.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range groups {
		g := &groups[i]
		switch {
		case g.Outcome == cow.Refused:
			r.Errorf("relay %d: refused: %v", m.name, g.Err)
		case g.Outcome == cow.Stored && g.Op == cow.OpRemove:
			delete(m.mirror, g.Slot)
			m.gone[g.Slot] = true
		case g.Outcome == cow.Stored && g.Op == cow.OpCreate:
			m.mirror[g.Slot] = 0
		case g.Outcome == cow.Stored && g.Op == cow.OpTrim:
			r.trims++
			r.left[g.Slot] = max(r.left[g.Slot], g.Oldest)
			m.oldest[g.Slot] = max(m.oldest[g.Slot], g.Oldest)
		case g.Op != cow.OpAppend:
		case g.Outcome == cow.Stored:
			if g.NewVersion != g.Count {
				r.Errorf("relay %d: an append has version %d, want %d", m.name, g.NewVersion, g.Count)
			}
			m.own[g.Slot] = g.Count
			if count, ok := m.mirror[g.Slot]; ok { // the feed may be behind, or ahead with a removal
				m.mirror[g.Slot] = max(count, g.Count)
			}
			r.floor[g.Slot] = max(r.floor[g.Slot], g.Count)
			for k, e := range g.Events {
				r.acked[string(e.JSON)] = place{g.Slot, g.First + uint64(k)}
			}
		case g.Outcome == cow.Conflict:
			for _, e := range g.Events {
				r.refused[string(e.JSON)] = true
			}
		}
	}
}

// raise adds one to the counter of all.
func (m *fleetRelay) raise() {
	const key = "counter"
	value, version, err := m.j.Value(key)
	if err != nil && !errors.Is(err, cow.ErrNoRecord) {
		panic(err)
	}
	n := uint64(0)
	if len(value) > 0 {
		n = binary.BigEndian.Uint64(value)
	}
	_, err = m.j.Put(key, binary.BigEndian.AppendUint64(nil, n+1), version, cow.Totals{HandleFirstClaims: 1})
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	switch {
	case err == nil:
		m.r.raised++
	case errors.Is(err, cow.ErrAway):
		m.r.perhaps++
	case !errors.Is(err, cow.ErrConflict):
		panic(err)
	}
}

// barrier checks that behind a barrier this relay has what all had acknowledged.
func (m *fleetRelay) barrier() {
	r := m.r
	r.mu.Lock()
	floor, left, raised := maps.Clone(r.floor), maps.Clone(r.left), r.raised
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.j.Barrier(ctx); err != nil {
		r.Errorf("relay %d: barrier: %v", m.name, err)
		return
	}
	m.mu.Lock()
	mirror, oldest := maps.Clone(m.mirror), maps.Clone(m.oldest)
	m.mu.Unlock()
	for id, want := range floor {
		c, err := m.counts(id)
		r.mu.Lock()
		removed := r.removed[id]
		r.mu.Unlock()
		if removed {
			continue
		}
		if err != nil || c.count < want || mirror[id] < want {
			r.Errorf("relay %d: behind a barrier slot %s has %d events, the feed told of %d, %d were acknowledged: %v", m.name, id, c.count, mirror[id], want, err)
		}
		if c.first < left[id] || oldest[id] < left[id] {
			r.Errorf("relay %d: behind a barrier slot %s begins at %d, the feed told of %d, a trim to %d was acknowledged", m.name, id, c.first, oldest[id], left[id])
		}
	}
	value, _, _ := m.j.Value("counter")
	if raised > 0 && (len(value) == 0 || binary.BigEndian.Uint64(value) < raised) {
		r.Errorf("relay %d: behind a barrier the counter is %x, it was raised %d times", m.name, value, raised)
	}
}
