package cow

import (
	"slices"
	"time"

	"cowrelay/cow/event"
)

// Gather and decide: one owner finds out what becomes of each post, one post after
// the other. So two equal ids are never both stored, and no quota is overrun (I5).
//
// The order of the questions matters. Each comment says why its question stands
// where it does.

// gather decides what waits until the batch is full: first what the loop has
// taken before, then the queue, then posts of many events.
func (c *commitPipeline) gather() {
	n, many := 0, 0
	for ; n < len(c.backlog.todo) && !c.next.full(); n++ {
		if p := c.backlog.todo[n]; p.kind == postMany {
			c.backlog.many = slices.Insert(c.backlog.many, many, p)
			many++
		} else {
			c.decide(p)
		}
	}
	c.backlog.drop(n)
	for more := true; more && !c.next.full(); {
		select {
		case p := <-c.queue.posts:
			c.decide(p)
		default:
			more = false
		}
	}
	c.gatherMany()
}

// gatherMany decides posts of many events, as many as a batch may have of them. They
// take no place from single posts. But a batch with them takes longer, and single
// posts wait for it and for the one before. So beside single posts only every second
// batch has any.
func (c *commitPipeline) gatherMany() {
	if c.crowded && c.next.posts > 0 {
		return
	}
	for {
		if len(c.backlog.many) == 0 {
			select {
			case p := <-c.queue.many:
				c.backlog.many = append(c.backlog.many, p)
			default:
				return
			}
		}
		p := c.backlog.many[0]
		if !c.next.roomFor(p) {
			return
		}
		c.backlog.many = slices.Delete(c.backlog.many, 0, 1)
		c.decide(p)
	}
}

// company decides whether a small batch is held back for a moment, so that more posts
// share its sync. That spares CPU time where posts come one by one from many clients,
// and costs each of them up to wait. It is worth nothing where few clients post and
// each waits for its answer: when they all are there, nobody else comes. So it is
// tried. It goes on only while the batches grow by it, and a wait ends when as many
// posts are there as the last trial has seen.
//
// What lost: to wait at every load. Where posts come as fast as they are answered, the
// batches are large by themselves (profiles/2026-11-24-post-64).
type company struct {
	wait  time.Duration // between the beginnings of two commits, at most; 0: never
	began int64         // when the last commit began, on the clock
	timer *time.Timer

	rest  int // batches that are not held back, until the next trial
	tries int // of the trial under way
	found int // posts that were there when those began
	left  int // and when they ended
	most  int // and when the fullest of them ended
	peak  int // most, of the last trial
}

const (
	companyEnough = 16  // posts: a larger batch is not held back
	companyTries  = 16  // of a trial
	companyRest   = 512 // batches between a trial that brought little and the next
)

// expects says how long a batch of n posts is to be held back, and up to how many
// posts. 0: not at all.
func (m *company) expects(n int, now int64) (d time.Duration, upTo int) {
	if m.wait == 0 || n == 0 || n >= companyEnough {
		return 0, 0
	}
	left := m.began + int64(m.wait) - now
	if left <= 0 {
		return 0, 0
	}
	if m.rest > 0 {
		m.rest--
		return 0, 0
	}
	if m.tries == 0 { // one wait of each trial sees how many there are
		return time.Duration(left), companyEnough
	}
	return time.Duration(left), max(m.peak, m.most)
}

// came notes that a batch of n posts was held back until it had so many.
func (m *company) came(n, left int) {
	m.tries++
	m.found += n
	m.left += left
	m.most = max(m.most, left)
	if m.tries < companyTries {
		return
	}
	if m.left < m.found+m.found/2 {
		m.rest = companyRest
	}
	m.peak = m.most
	m.tries, m.found, m.left, m.most = 0, 0, 0, 0
}

// holdBack waits for more posts if they are expected. What has landed is finished
// before: nobody waits for that.
func (c *commitPipeline) holdBack() {
	if c.next.manyEvents > 0 { // they are worth a sync
		return
	}
	n := c.next.posts
	d, upTo := c.company.expects(n, c.env.clock.now())
	if d == 0 {
		return
	}
	c.finish()
	c.gather() // finish may have released some
	c.company.timer.Reset(d)
	defer c.company.timer.Stop()
	for c.next.posts < upTo {
		select {
		case p := <-c.queue.posts:
			c.decide(p)
			continue
		case <-c.company.timer.C:
		case <-c.inbox.wake: // the next turn looks at it
		}
		break
	}
	c.company.came(n, c.next.posts)
}

// decide decides one post.
func (c *commitPipeline) decide(p *Post) {
	slot := p.slot
	// Has its poster given up? First, as such a post is in no count any more.
	if p.givenUp() {
		return
	}
	// Does it rest on something that may still fail? That is the slot's removal or a trim, or
	// an append of the batch before, or for a removal or a trim also one of this batch. Before
	// everything that looks at the slot: what is there may change.
	if slot.leaving || slot.trimmed || slot.pending != nil && (slot.pending.batch != c.next || p.kind == postRemove || p.kind == postTrim) {
		c.backlog.held = append(c.backlog.held, p)
		return
	}
	c.next.count(p)
	switch {
	// Is a slot to be made? There is nothing of it yet that could be asked.
	case p.kind == postCreate:
		c.decideCreate(p)
	// Is the slot gone? Before parking: nothing is loaded for it any more.
	case slot.dead.Load():
		c.queue.answer(p, false, ErrNoSlot)
	// Are posts of the slot parked? Before all that needs the slot: the posts of a
	// slot are decided in their order.
	case c.parking.holds(slot):
		c.parking.add(p)
	// A removal needs no events in memory.
	case p.kind == postRemove:
		c.decideRemove(p)
	case p.kind == postTrim:
		c.decideTrim(p)
	case p.kind == postMany:
		c.decideMany(p)
	default:
		c.decideEvent(p)
	}
}

// decideCreate makes a slot, if one more may exist. Slots that are being made
// count.
func (c *commitPipeline) decideCreate(p *Post) {
	if c.env.slotsLeft() <= c.creating {
		c.queue.answer(p, false, ErrTooManySlots)
	} else if c.queue.take(p) {
		c.creating++
		c.next.act(Group{Op: OpCreate, Slot: p.slot.id, Token: p.slot.token, Owner: p.slot.owner}, p)
	}
}

// decideRemove removes a slot, unless it was used since that was asked for and must not
// be. Its other posts are held until that is finished. The version says to the journal
// what this was decided on. So an event that another relay has stored first stands in the
// way, and then this is decided again.
func (c *commitPipeline) decideRemove(p *Post) {
	if p.still != nil && p.slot.LastUse() != *p.still {
		c.queue.answer(p, false, ErrConflict)
	} else if c.queue.take(p) {
		p.slot.leaving = true
		c.next.act(Group{Op: OpRemove, Slot: p.slot.id, Version: p.slot.currentVersion()}, p)
	}
}

// decideTrim trims a slot, unless it was trimmed since that was asked for. Its other
// posts are held until that is finished: what they are decided on changes. It needs no
// event in memory.
func (c *commitPipeline) decideTrim(p *Post) {
	if uint64(p.slot.first.Load()) != p.trim.first {
		c.queue.answer(p, false, ErrConflict)
	} else if c.queue.take(p) {
		p.slot.trimmed = true
		c.next.act(Group{Op: OpTrim, Slot: p.slot.id, First: p.trim.first, Oldest: p.trim.to, Gone: p.trim.bytes}, p)
	}
}

// decideEvent finds out whether an event is new, a duplicate, or too much.
func (c *commitPipeline) decideEvent(p *Post) {
	slot := p.slot
	// Is the slot in memory? First, as its ids and its size are asked next.
	h := c.env.hotPart(slot)
	if h == nil {
		c.parking.addForSlot(p)
		return
	}
	slot.use(c.env.budget.epoch.Load())
	a := slot.pending // what this batch appends to the slot already, or nil
	// Is the id known? Before the quota: an event that a full slot holds is a
	// duplicate.
	key := uint64(0)
	if p.event.IDOff != 0 {
		key = idKey(p.idHash)
		var room [event.MaxIDBytes]byte
		id, _ := p.event.ID(room[:0])
		switch where, ch := lookUp(p, h, a, key, id); where {
		case inBatch: // answered when that event is
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
	if a := c.appendFor(p, h, uint64(len(p.event.JSON))); a != nil {
		a.add(p, key)
	}
}

// appendFor returns what the batch appends to a post's slot, so that more bytes of the
// post can be added. Nil: the post was answered, or its poster gave up.
func (c *commitPipeline) appendFor(p *Post, h *hot, more uint64) *pendingAppend {
	a := p.slot.pending
	// Is there room in the slot? With what this batch appends to it already.
	bytes, events := h.appender.bytes+more, 1
	if p.many != nil {
		events = p.many.fresh
	}
	if a != nil {
		bytes += a.bytes
		events += len(a.events)
	}
	if bytes > MaxSlotBytes || h.count+uint64(events) > MaxPosition {
		c.queue.answer(p, false, ErrSlotFull)
		return nil
	}
	// Is its poster still there? Last, as a post that is taken must be answered by
	// the journal's word: its poster can't give up any more.
	if !c.queue.take(p) {
		return nil
	}
	if a == nil {
		a = c.pool.newAppend(c.next, p.slot, h)
	}
	return a
}

// decideMany finds out which of a post's events are new, and whether the slot has room
// for these. The order of the questions is that of decideEvent.
//
// All of them go into one append, so they become durable together. An id that the
// batch appends already stands in the same append. So the answer rests on one outcome,
// and nothing else has to be waited for.
func (c *commitPipeline) decideMany(p *Post) {
	slot, m := p.slot, p.many
	h := c.env.hotPart(slot)
	if h == nil {
		c.parking.addForSlot(p)
		return
	}
	slot.use(c.env.budget.epoch.Load())
	a := slot.pending
	waits := false     // an event is a duplicate of what this batch appends
	bytes := uint64(0) // of what is new
	m.fresh = 0
	var room [event.MaxIDBytes]byte
	for i, ev := range m.events {
		if m.at[i] == inSlot { // found when this was decided before
			continue
		}
		m.at[i] = nowhere
		if key := m.keys[i]; key != 0 {
			id, _ := ev.ID(room[:0])
			where, ch := lookUp(p, h, a, key, id)
			if where == inChunk {
				c.parking.addForChunk(p, ch)
				return
			}
			m.at[i] = where
			waits = waits || where == inBatch
		}
		if m.at[i] == nowhere {
			m.fresh++
			bytes += uint64(len(ev.JSON))
		}
	}
	if m.fresh == 0 {
		if !waits {
			p.next = h.count
			c.queue.answer(p, true, nil)
		} else if c.queue.take(p) {
			a.dups = append(a.dups, p)
		}
		return
	}
	if a := c.appendFor(p, h, bytes); a != nil {
		a.addMany(p)
	}
}

// place is where an id was found.
type place uint8

const (
	nowhere place = iota
	inBatch       // among what is to be appended
	inSlot        // among what is stored
	inChunk       // perhaps: the chunk is not in memory
)

// lookUp looks for an id: in the batch, and then among what is stored. Of an event
// whose chunk is not in memory only the hash is known, and that may be the hash of
// another id: then lookUp returns the chunk.
func lookUp(p *Post, h *hot, a *pendingAppend, key uint64, id []byte) (place, *chunk) {
	if a != nil && a.holds(key, id) {
		return inBatch, nil
	}
	var room [4]uint64
	for _, pos := range h.index.Find(uint32(key), room[:0]) {
		snap := h.snap.Load()
		if !snap.has(pos) { // it has left
			continue
		}
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
