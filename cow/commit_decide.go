package cow

import "cowrelay/cow/event"

// Decide: what is to become of a post. Nobody else decides, and each decision
// rests on what this loop decided before. So two equal ids can't both be stored,
// and no quota is overrun (I5). Each question below stands behind those that its
// answer rests on.

// gather decides what waits: first what the loop has already, then what is
// queued.
func (c *commitPipeline) gather() {
	n := 0
	for ; n < len(c.backlog.todo) && !c.next.full(); n++ {
		c.decide(c.backlog.todo[n])
	}
	c.backlog.drop(n)
	for !c.next.full() {
		select {
		case p := <-c.queue.posts:
			c.decide(p)
		default:
			return
		}
	}
}

// decide decides one post.
func (c *commitPipeline) decide(p *Post) {
	slot := p.slot
	// Has its poster given up? The post is out of all counts then.
	if p.state.Load() == postAbandoned {
		return
	}
	// Does it rest on something that may still fail? On the slot's removal, or on
	// an append of the batch before; a removal also on an append of this batch.
	if slot.leaving || slot.pending != nil && (slot.pending.batch != c.next || p.kind == postRemove) {
		c.backlog.held = append(c.backlog.held, p)
		return
	}
	c.next.posts++
	c.next.bytes += p.bytes
	switch {
	// A slot that is to be made has nothing yet to be asked about.
	case p.kind == postCreate:
		c.decideCreate(p)
	// Is the slot gone? It never comes back, whatever else waits for it.
	case slot.dead.Load():
		c.queue.answer(p, false, ErrNoSlot)
	// Do others wait for the slot already? The post stays behind them.
	case c.parking.holds(slot):
		c.parking.add(p)
	case p.kind == postRemove:
		c.decideRemove(p)
	default:
		c.decideEvent(p)
	}
}

// decideCreate makes a slot if there may be one more, with those that are being
// made.
func (c *commitPipeline) decideCreate(p *Post) {
	if c.env.slotsLeft() <= c.creating {
		c.queue.answer(p, false, ErrTooManySlots)
	} else if c.queue.take(p) {
		c.creating++
		c.next.act(Group{Op: OpCreate, Slot: p.slot.id, Token: p.slot.token}, p)
	}
}

// decideRemove removes the slot. What comes behind is held until that is done.
func (c *commitPipeline) decideRemove(p *Post) {
	if c.queue.take(p) {
		p.slot.leaving = true
		c.next.act(Group{Op: OpRemove, Slot: p.slot.id, Version: p.slot.currentVersion()}, p)
	}
}

// decideEvent finds an event to be new, a duplicate, or too much.
func (c *commitPipeline) decideEvent(p *Post) {
	slot := p.slot
	// Is the slot in memory? If not, which ids it holds is not known.
	h := c.env.hotPart(slot)
	if h == nil {
		c.parking.addForSlot(p)
		return
	}
	slot.use(c.env.budget.epoch.Load())
	a := slot.pending // what this batch appends to the slot already, or nil
	// Is the id there? That goes before the quota: a full slot knows its own.
	key := uint64(0)
	if p.event.IDOff != 0 {
		key = idKey(p.idHash)
		var room [event.MaxIDBytes]byte
		id, _ := p.event.ID(room[:0])
		switch where, ch := lookUp(p, h, a, key, id); where {
		case inBatch: // answered with the post that brought it
			if c.queue.take(p) {
				a.dups = append(a.dups, p)
			}
			return
		case inSlot:
			c.queue.answer(p, true, nil)
			return
		case inChunk:
			c.parking.addForChunk(p, ch)
			return
		}
	}
	// Is there room in the slot?
	bytes := h.appender.bytes + uint64(len(p.event.JSON))
	if a != nil {
		bytes += a.bytes
	}
	if bytes > MaxSlotBytes {
		c.queue.answer(p, false, ErrSlotFull)
		return
	}
	// Is its poster still there? From here on it waits for the journal's word.
	if !c.queue.take(p) {
		return
	}
	if a == nil {
		a = c.pool.newAppend(c.next, slot, h)
	}
	a.add(p, key)
}

// place is where an id was found.
type place uint8

const (
	nowhere place = iota
	inBatch       // among what is to be appended
	inSlot        // among what is stored
	inChunk       // perhaps: that chunk is not in memory
)

// lookUp looks for an id, in the batch first: what is there is not in the index.
func lookUp(p *Post, h *hot, a *pendingAppend, key uint64, id []byte) (place, *chunk) {
	if a != nil && a.holds(key, id) {
		return inBatch, nil
	}
	var room [4]uint64
	for _, pos := range h.index.Find(p.idHash, room[:0]) {
		snap := h.snap.Load()
		ch := snap.chunks[snap.find(pos)]
		g := ch.resident()
		if g == nil {
			if p.pinnedC != ch {
				return inChunk, ch
			}
			g = p.pinned
		}
		if g.event(int(pos - ch.first)).HasID(id) {
			return inSlot, nil
		}
	}
	return nowhere, nil
}
