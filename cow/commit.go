package cow

import "time"

// # The commit pipeline
//
// A post goes through five stages. Each has a file of its own.
//
//	gather   commit_gather.go   take what waits, until the batch is full
//	decide   commit_decide.go   one post: new, a duplicate, too much, or to wait
//	send     commit_send.go     seal the batch: one group for each slot
//	commit   this file          the journal stores the groups: durable
//	finish   commit_finish.go   indexed, visible, woken, acknowledged
//
// Three kinds of goroutines take part.
//
//	posters             accept an event, put a post into the queue, and wait for
//	                    the answer (commit_post.go, commit_queue.go)
//	the loop            gathers, decides, sends, finishes, and runs the inbox. It
//	                    owns every slot's future: it alone appends to a slot, makes
//	                    it or buries it, and makes a hot slot cold. It reads no disk.
//	                    (loop, below)
//	the journal's       writes a batch and gives it back. It touches nothing but
//	                    the batch's groups. (writer, below)
//
// A post's way:
//
//	                          .---- held, parked <----.   (commit_park.go)
//	                          v                       |
//	poster --put--> queue --gather--> decide ---------+--> answered: a duplicate,
//	                                    |                  too much, no slot
//	                                    v
//	                             pendingAppend --send--> batch
//
// A batch's way (commit_batch.go). There are at most two on it.
//
//	         decide      send             write              finish
//	c.next ----------> sealed ------> at the journal ------> c.landed ------> pool
//
// While a batch is at the journal, the loop finishes the one that landed before.
// Then it decides the next one and only sends it when the journal is free: so it
// takes along all that has come meanwhile. Two rules keep decisions sound:
//
//   - A decision never rests on an append that may still fail. A post to a slot of
//     the landed batch is held until that is finished.
//   - Such a post still goes into the next batch with all others. The landed batch
//     is finished for it first, even though the journal has nothing to do
//     meanwhile. Otherwise the post would miss this batch, and one slot that is
//     posted to all the time would get every second batch.
//
// To wait a little before a batch is sent, for more posts, lost at every load:
// profiles/2026-11-24-post-64.
//
// Whoever is no poster asks by the inbox (commit_inbox.go): a load has ended, the
// budget wants slots to go cold, another writer stored something. That runs when
// nothing is decided, at the journal or unfinished. What other writers do, and
// appends whose outcome is unknown, are in commit_others.go and commit_catchup.go:
// a journal with one writer never leads there.

// loop is the owner. It ends when stop is closed and nothing waits any more.
func (c *commitPipeline) loop(stop <-chan struct{}) {
	defer close(c.toJournal)
	defer c.inbox.end()
	for c.turn() || c.rest(stop) {
	}
}

// turn goes through all stages once. False: there was nothing to do.
func (c *commitPipeline) turn() bool {
	c.runInbox()
	c.gather()
	if len(c.backlog.held) > 0 {
		c.finish()
		c.gather()
	}
	b := c.send()
	switch {
	case b != nil && c.landed == nil: // nothing to finish meanwhile
		c.write(b)
		c.landed = b
	case b != nil:
		c.toJournal <- b
		c.finish()
		c.landed = <-c.fromJournal
	case c.landed != nil:
		c.finish()
	case !c.backlog.empty():
		c.backlog.release() // held for what was refused in send
	default:
		return false
	}
	return true
}

// rest waits for something to do. False: the store closes, and nothing is left.
func (c *commitPipeline) rest(stop <-chan struct{}) bool {
	select {
	case p := <-c.queue.posts:
		c.backlog.todo = append(c.backlog.todo, p)
	case <-c.inbox.wake:
	case <-stop:
		c.others.giveUp()
		if c.queue.empty() && c.parking.empty() && c.inbox.empty() {
			return false
		}
		time.Sleep(time.Millisecond) // parked posts: their loads end soon
	}
	return true
}

// writer is the goroutine at the journal.
func (c *commitPipeline) writer() {
	for b := range c.toJournal {
		c.write(b)
		c.fromJournal <- b
	}
}

// write is the stage in which a batch becomes durable. Posters can see how long
// it takes.
func (c *commitPipeline) write(b *batch) {
	began := c.env.clock.now()
	c.queue.writeBegan.Store(max(began, 1))
	c.env.write(b.groups)
	c.queue.writeBegan.Store(0)
	b.took = time.Duration(c.env.clock.now() - began)
}

// runInbox runs what others than posters asked for.
func (c *commitPipeline) runInbox() {
	if c.inbox.empty() {
		return
	}
	c.finish()
	l := c.inbox.take()
	for i := range l.fed {
		c.others.fed(&l.fed[i])
	}
	for i := range l.loaded {
		c.parking.loaded(&l.loaded[i])
	}
	for i := range l.caught {
		c.others.caughtUp(&l.caught[i])
	}
	for _, slot := range l.retry {
		c.others.retry(slot)
	}
	for slot := range l.recount {
		c.others.recount(slot)
	}
	for _, slot := range l.cool {
		if c.mayCool(slot) && slot.subs.Load() == nil {
			c.env.budget.cool(slot)
		}
	}
	c.touched = append(c.touched, l.touched...)
	for _, answer := range l.probes {
		answer()
	}
}

// mayCool says whether no post needs the slot in memory.
func (c *commitPipeline) mayCool(slot *Slot) bool {
	return !c.parking.holds(slot) && slot.pending == nil
}
