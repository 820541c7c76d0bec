package cow

import (
	"errors"
	"fmt"

	"cowrelay/cow/event"
)

// heat reads a whole slot and makes it hot. Where the budget has no room for
// all of it, the oldest chunks stay out of memory.
func (l *loader) heat(slot *Slot) (*hot, error) {
	if h := slot.hot.Load(); h != nil {
		return h, nil
	}
	s := l.s
	want := slot.count.Load()
	h := &hot{}
	patience := l.patience()
	if err := l.admit(h, memSlot, hotBytes, patience); err != nil {
		s.budget.drop(h)
		return nil, err
	}
	var room [event.MaxIDBytes]byte
	err := l.read(slot, 0, func(a *Append) error {
		if a.First != h.count {
			return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, a.First, h.count)
		}
		for _, ev := range a.Events {
			if id, ok := ev.ID(room[:0]); ok {
				if err := l.admit(h, memIndex, h.index.Insert(s.hashID(id), h.count), patience); err != nil {
					return err
				}
			}
			if err := l.admit(h, memChunk, h.add(ev), patience); err != nil {
				return err
			}
		}
		h.version = a.Version
		return nil
	})
	if err == nil && h.count < want {
		err = fmt.Errorf("cow: slot %s: the journal gave %d events of %d", slot.id, h.count, want)
	}
	if err != nil {
		s.budget.drop(h)
		if !ours(err) && !errors.Is(err, ErrNoSlot) {
			s.stats.LoadErrors.Add(1)
			s.opts.Logger.Error("cannot load slot", "slot", slot.id, "error", err)
		}
		return nil, err
	}
	h.publish()
	count, bytes := h.count, h.appender.bytes // before it is the owner's
	s.stats.SlotLoads.Add(1)
	// While a slot is cold the commit loop appends nothing to it, so what was
	// read is all there is.
	if !slot.hot.CompareAndSwap(nil, h) {
		s.budget.drop(h)
		return slot.hot.Load(), nil
	}
	s.budget.enter(slot)
	if slot.count.Load() != count || slot.bytes.Load() != bytes {
		s.inbox.askRecount(slot)
	}
	if slot.dead.Load() { // removed meanwhile: whoever swaps it out gives its memory back
		s.budget.cool(slot)
		return nil, ErrNoSlot
	}
	return h, nil
}

// admit reserves what h has grown by. When nothing else can leave, h lets go
// of its own oldest chunks.
func (l *loader) admit(h *hot, kind int, grown int64, wait func() error) error {
	b := l.s.budget
	if grown <= 0 {
		b.add(kind, grown)
		return nil
	}
	for !b.tryReserve(kind, grown) {
		if b.evict(grown) > 0 || b.shed(h) {
			continue
		}
		if err := wait(); err != nil {
			b.add(kind, grown) // drop gives it back with the rest
			return err
		}
	}
	return nil
}

// reload reads the data of one chunk again: all that was in it when it left,
// though who asks for it may have a snapshot that shows less. The segment of a
// chunk whose slot has gone cold serves those who wait, and belongs to nobody.
func (l *loader) reload(slot *Slot, c *chunk) (*segment, error) {
	was := c.seg.Load()
	if was.data != nil {
		return was, nil
	}
	s := l.s
	g, grown := &segment{refs: was.refs}, int64(c.size)
	if was == goneSegment {
		g.refs = make([]eventRef, c.events)
		grown += g.bytes()
	}
	if err := s.budget.reserve(grown, l.patience()); err != nil {
		return nil, err
	}
	g.data = newData(int(c.size))
	if err := l.readChunk(slot, c, g, was != goneSegment); err != nil {
		s.budget.retire(g.data, grown)
		// The journal knows of a removal before the slot is marked.
		if slot.dead.Load() || errors.Is(err, ErrNoSlot) {
			return nil, ErrNoSlot
		}
		if !ours(err) {
			s.stats.LoadErrors.Add(1)
			s.opts.Logger.Error("cannot load chunk", "slot", slot.id, "error", err)
		}
		return nil, err
	}
	g.sum.Freeze(g.data)
	s.stats.ChunkLoads.Add(1)
	c.used.Store(s.budget.epoch.Load())
	if was == goneSegment {
		s.budget.retire(g.data, grown)
	} else if !c.seg.CompareAndSwap(was, g) {
		s.budget.retire(g.data, grown) // it went cold meanwhile, and the table with it
	}
	return g, nil
}

var errFull = errors.New("BUG: the chunk is full")

// readChunk fills g from the journal. Where the table is known, what comes must
// fit it.
func (l *loader) readChunk(slot *Slot, c *chunk, g *segment, known bool) error {
	i, n, used := 0, int(c.events), 0
	err := l.read(slot, c.first, func(a *Append) error {
		for k, ev := range a.Events {
			pos := a.First + uint64(k)
			switch {
			case pos < c.first:
				continue
			case pos != c.first+uint64(i):
				return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, pos, c.first+uint64(i))
			case i > 0:
				if used < len(g.data) {
					g.data[used] = ','
				}
				used++
			}
			if used+len(ev.JSON) > len(g.data) {
				return fmt.Errorf("cow: slot %s: position %d is longer than it was", slot.id, pos)
			}
			used += copy(g.data[used:], ev.JSON)
			ref := eventRef{end: uint32(used), id: ev.IDOff}
			if !known {
				g.refs[i] = ref
			} else if g.refs[i] != ref {
				return fmt.Errorf("cow: slot %s: position %d is not what it was", slot.id, pos)
			}
			if i++; i == n {
				return errFull
			}
		}
		return nil
	})
	if err == errFull {
		err = nil
	}
	if err == nil && (i != n || used != len(g.data)) {
		err = fmt.Errorf("cow: slot %s: chunk at %d came back with %d events of %d", slot.id, c.first, i, n)
	}
	return err
}
