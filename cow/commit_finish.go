package cow

import (
	"fmt"

	"cowrelay/cow/event"
	"cowrelay/cow/frame"
)

// Finish: readers and posters get what has become durable. I3, I4 and I6 rest on
// the order of these steps, and the order is in this file alone.
//
//	1. durable        a landed group is Stored: commitBatch has returned
//	2. indexed        publish: since and dedupe know the ids
//	3. visible        publish: windows and streams see the events
//	4. woken          publish: subscribers look for what is new
//	5. acknowledged   finishAppend: posters get their answers
//
// What other writers stored takes steps 2 to 4 by the same publish.

// finish finishes the landed batch, if there is one.
func (c *commitPipeline) finish() {
	b := c.landed
	if b == nil {
		return
	}
	if c.env.committed != nil {
		c.env.committed(b.posts, int(b.bytes), b.took)
	}
	for i, p := range b.acts {
		if p != nil { // nobody waits for a touch
			c.finishAct(&b.groups[i], p)
		}
	}
	for i, a := range b.appends {
		c.finishAppend(&b.groups[len(b.acts)+i], a)
	}
	c.pool.putBack(b)
	c.landed = nil
	c.backlog.release()
}

func (c *commitPipeline) finishAppend(g *Group, a *pendingAppend) {
	switch g.Outcome {
	case Stored:
		c.env.publish(a.slot, a.hot, a.events, a.keys, g.NewVersion)
		c.queue.acknowledge(a.posts, a.dups, g.First, g.Count)
	case Refused:
		err := refusal(g.Err)
		c.queue.answerAll(a.posts, false, err)
		c.queue.answerAll(a.dups, false, err)
	default: // Conflict: another writer was first. Unknown: nobody can say.
		c.others.takeBack(a, g.Outcome != Conflict)
	}
}

// publish brings stored events to the readers of their slot.
func (e *commitEnv) publish(slot *Slot, h *hot, events []event.Event, keys []uint64, version uint64) {
	var indexBytes, chunkBytes int64 // by which they grew
	first := h.count
	for i, ev := range events {
		if keys[i] != 0 {
			indexBytes += h.index.Insert(uint32(keys[i]), h.count) // indexed
		}
		chunkBytes += h.add(ev)
	}
	e.budget.add(memIndex, indexBytes)
	e.budget.add(memChunk, chunkBytes)
	for ids := range frame.Kinds {
		if slot.subs.read(ids) {
			e.budget.add(memFrame, h.appendFrames(ids, first, events, e.stats))
		}
		// The last reader of a kind leaves the set first and drops the kind's
		// frames second. We store the frames first and look at the set second. So
		// no frames are left when nobody reads them. A reader that joins between
		// the leaver's two steps may lose its shared frames. It then encodes its
		// own: sharing saves work, and never decides what a reader gets (I6).
		if !slot.subs.read(ids) {
			e.budget.dropFrames(h, ids)
		}
	}
	h.version = version
	h.publish() // visible
	e.tally(slot, h.first, h.count, h.appender.bytes)
	// A subscriber joins the set first and loads the snapshot second. We publish
	// first and load the set second. So one of us sees the other (I6).
	slot.subs.wake(e.clock.now) // woken
}

// tally notes how much a slot holds, so that it has counts while it is cold.
func (e *commitEnv) tally(slot *Slot, first, count, bytes uint64) {
	e.stats.Events.Add(int64(count - first - (slot.count.Load() - uint64(slot.first.Load()))))
	e.stats.Bytes.Add(int64(bytes - slot.bytes.Load()))
	slot.count.Store(count)
	slot.first.Store(uint32(first))
	slot.bytes.Store(bytes)
}

// trim takes the events before a position out of a slot, as the journal did. gone is how
// many bytes these have. It does nothing if they have left before.
func (e *commitEnv) trim(slot *Slot, to, gone uint64) {
	if first, count := uint64(slot.first.Load()), slot.count.Load(); to > first {
		left := slot.bytes.Load()
		if left -= min(gone, left); to >= count {
			left = 0
		}
		e.stats.EventsTrimmed.Add(to - first)
		e.stats.BytesTrimmed.Add(slot.bytes.Load() - left)
		e.tally(slot, to, max(count, to), left)
	}
	// A load under way may have read the slot before the trim. It makes the slot hot first
	// and compares the counts second; we set the counts first and look for the hot part
	// second.
	h := slot.hot.Load()
	if h == nil || h.first >= to {
		return
	}
	left, grown := h.trim(to)
	e.budget.letGo(left)
	e.budget.add(memChunk, grown)
	h.index.Forget(to)
	h.publish()
	// A load that an append overtook shows less than is counted. The count stays, as the
	// recount that the load asks for sees by it that something is to be caught up with.
	if h.count >= slot.count.Load() {
		e.tally(slot, h.first, h.count, h.appender.bytes)
	}
}

// finishAct finishes the creation, the trim or the removal of a slot.
func (c *commitPipeline) finishAct(g *Group, p *Post) {
	p.slot.leaving, p.slot.trimmed = false, false
	if g.Op == OpCreate {
		c.creating--
	}
	switch {
	case g.Outcome == Stored && g.Op == OpCreate:
		p.slot.version = g.NewVersion
		c.env.enter(p.slot)
		if p.state.Load() == postLeft {
			c.removeOrphan(p.slot)
		}
		c.queue.answer(p, false, nil)
	case g.Outcome == Stored && g.Op == OpTrim:
		c.env.trim(p.slot, g.Oldest, g.Gone)
		c.queue.answer(p, false, nil)
	case g.Outcome == Stored:
		c.env.bury(p.slot)
		c.queue.answer(p, false, nil)
	case g.Outcome == Refused:
		c.queue.answer(p, false, refusal(g.Err))
	case g.Outcome == Conflict && g.Op == OpRemove:
		c.others.takeBackRemoval(p)
	case g.Outcome == Conflict:
		c.queue.answer(p, false, ErrConflict)
	default:
		c.queue.answer(p, false, ErrUnknown)
	}
}

// refusal is the error of posts in a group that the journal refused.
func refusal(err error) error {
	if err == nil {
		return ErrBusy
	}
	return fmt.Errorf("cannot store: %w", err)
}
