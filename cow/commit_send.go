package cow

import "time"

// Send and commit: what was decided goes to the journal and becomes durable.

// send seals the batch and begins another. Nil: there is nothing to write.
func (c *commitPipeline) send() *batch {
	b := c.next
	c.crowded = b.manyEvents > 0
	c.addTouches(b)
	if !b.empty() {
		if err := c.env.room(); err != nil {
			c.refuse(b, err)
		}
	}
	if b.empty() {
		c.pool.empty(b)
		return nil
	}
	b.seal()
	c.next = c.pool.batch()
	if c.company.wait > 0 {
		c.company.began = c.env.clock.now()
	}
	return b
}

// addTouches adds the times of pulls that wait, as many as a batch may have.
func (c *commitPipeline) addTouches(b *batch) {
	n := min(len(c.touched), batchPosts)
	if n == 0 {
		return
	}
	for _, slot := range c.touched[:n] {
		if !slot.dead.Load() && !slot.leaving {
			b.act(Group{
				Op: OpTouch, Slot: slot.id, PulledAt: slot.PulledAt(), StreamedAt: int64(slot.streamedAt.Load()),
			}, nil)
		}
	}
	c.touched = append(c.touched[:0], c.touched[n:]...)
	c.inbox.touchesLeft.Add(-int64(n))
}

// refuse takes out of the batch what the journal must not see while the disk is
// nearly full, and answers it. Removals and trims stay: they make room.
func (c *commitPipeline) refuse(b *batch, err error) {
	kept := 0
	for i, p := range b.acts {
		switch {
		case b.groups[i].Op == OpRemove, b.groups[i].Op == OpTrim:
			b.groups[kept], b.acts[kept] = b.groups[i], p
			kept++
		case p != nil:
			c.creating--
			c.queue.answer(p, false, err)
		}
	}
	b.groups, b.acts = b.groups[:kept], b.acts[:kept]
	for _, a := range b.appends {
		c.env.stats.PostsNoSpace.Add(uint64(len(a.posts)))
		c.queue.answerAll(a.posts, false, err)
		c.queue.answerAll(a.dups, false, err)
	}
	c.pool.dropAppends(b)
}

// commitBatch has the journal store a batch. When it returns all that is Stored is
// durable. Posters see meanwhile since when it has been under way.
func (c *commitPipeline) commitBatch(b *batch) {
	began, turned := c.env.clock.now(), c.env.stats.PostsStalled.Load()
	c.queue.writeBegan.Store(max(began, 1))
	c.env.write(b.groups)
	c.queue.writeBegan.Store(0)
	b.took = time.Duration(c.env.clock.now() - began)
	c.queue.wrote(b.took, c.env.stats.PostsStalled.Load()-turned)
}

// writeBatches is the goroutine that calls the journal beside the loop.
func (c *commitPipeline) writeBatches() {
	for b := range c.toJournal {
		c.commitBatch(b)
		c.fromJournal <- b
	}
}
