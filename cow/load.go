package cow

import (
	"errors"
	"fmt"
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
	var room [MaxIDBytes]byte
	err := l.read(slot, 0, func(a *Append) error {
		if a.First != h.count {
			return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, a.First, h.count)
		}
		for _, ev := range a.Events {
			if id, ok := ev.ID(room[:0]); ok {
				if err := l.admit(h, memIndex, h.index.insert(s.hashID(id), h.count), patience); err != nil {
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
		s.commits.inbox.askSettle(slot)
	}
	if slot.dead.Load() { // removed meanwhile: whoever swaps it out gives its memory back
		s.cool(slot)
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

// reload reads the segment of one chunk again: all that was in it when it left,
// though who asks for it may have a snapshot that shows less.
func (l *loader) reload(slot *Slot, c *chunk) (*segment, error) {
	if g := c.seg.Load(); g != nil && g != goneSegment {
		return g, nil
	}
	s, n := l.s, int(c.events)
	g := &segment{data: newData(int(c.size)), refs: make([]eventRef, n)}
	if err := s.budget.reserve(g.bytes(), l.patience()); err != nil {
		return nil, err
	}
	full := errors.New("full")
	i, used := 0, 0
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
			g.refs[i] = eventRef{end: uint32(used), id: ev.IDOff}
			if i++; i == n {
				return full
			}
		}
		return nil
	})
	if err == full {
		err = nil
	}
	if err == nil && (i != n || used != len(g.data)) {
		err = fmt.Errorf("cow: slot %s: chunk at %d came back with %d events of %d", slot.id, c.first, i, n)
	}
	if err != nil {
		s.budget.retire(g)
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
	g.freeze(g.data[:used])
	s.stats.ChunkLoads.Add(1)
	// A slot that went cold meanwhile has the mark of it here: then the
	// segment serves those who waited, and belongs to nobody.
	c.used.Store(s.budget.epoch.Load())
	if !c.seg.CompareAndSwap(nil, g) {
		s.budget.retire(g)
	}
	return g, nil
}
