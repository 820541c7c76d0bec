package cow

import "time"

// The commit pipeline brings posts into the journal and then to the readers.
//
// # The stages
//
//	gather   take what waits, until the batch is full          commit_decide.go
//	decide   one post: new, a duplicate, too much, or to wait  commit_decide.go
//	send     seal the batch: one group for each slot           commit_send.go
//	commit   the journal stores the groups: durable            commit_send.go
//	finish   indexed, visible, woken, acknowledged             commit_finish.go
//
// # The goroutines
//
// Posters, any number: each accepts an event, puts a post into the queue and
// waits for its answer (commit_post.go, commit_queue.go). They touch no slot.
//
// The loop, one: it gathers, decides, sends and finishes. It is the one owner of
// every slot's future: it alone appends to a slot, makes it, buries it, or takes
// it out of memory. It never reads the disk. A slot or chunk that is not in
// memory is loaded elsewhere, while the posts that need it are parked
// (commit_park.go).
//
// The writer, one (writeBatches): it has the journal store a batch and hands it
// back. Only the journal touches the batch's groups meanwhile. If the loop has
// nothing to finish at that time, it calls the journal itself.
//
// # The way of a post
//
//	         put           gather          new
//	poster ------> queue --------> decide -----> batch --> the journal --> answer
//	                                ^    |
//	                                |    |  a duplicate, no room, no slot
//	                                |    +----------------------------> answer
//	                                |    |  can't be decided yet
//	                                +----+ held, or parked
//
// # The way of a batch
//
// At most two are on it: one is filled or written while the other is finished.
//
//	          send               commit             finish
//	filling -------> sealed -----------------> landed -------> empty, to be filled
//	c.next           with the journal          c.landed
//
// When a batch has landed the loop first decides and sends the next one, and
// finishes the landed one behind that. So its readers and posters are served
// while the journal syncs. Two rules keep this sound:
//
//   - No decision rests on an append that may have failed. A post to a slot of the
//     landed batch is held.
//   - A held post does not miss a batch. If there is one, the landed batch is
//     finished before the next one is sent, and the post goes into that.
//
// A post of many events becomes part of one append, and so of one group: durable,
// visible and acknowledged at once, or not at all. Such posts have a queue of their
// own, and each batch has a little room for them beside single posts (commit_batch.go,
// gatherMany).
//
// Where CPU time is short, the loop may hold a small batch back for a moment
// (company, in commit_decide.go).
//
// # All others
//
// Loads that have ended, the budget, other writers and probes ask the loop by
// the inbox (commit_inbox.go). The loop runs it when nothing is decided, written
// or unfinished, so it may change any slot then. What other writers did, and
// appends whose outcome is unknown, are in commit_others.go: a journal with one
// writer, which always knows, does not lead there.
type commitPipeline struct {
	env   commitEnv
	queue *postQueue
	inbox *inbox

	// The loop sends a sealed batch to toJournal, and receives it from fromJournal
	// when it has landed. Both have a capacity of 1, and one batch at most is in
	// them, so no send waits.
	toJournal   chan *batch
	fromJournal chan *batch

	// Owned by the loop, as are all methods but writeBatches and commitBatch.
	next     *batch  // filling
	landed   *batch  // not finished yet; or nil
	creating int64   // slots that next and landed will make
	touched  []*Slot // the times of their last pulls are to be written
	crowded  bool    // the batch that was sent last had posts of many events
	backlog  backlog
	company  company
	parking  *parking
	others   *others
	pool     batchPool
}

func newCommitPipeline(env commitEnv, q *postQueue, in *inbox) *commitPipeline {
	c := &commitPipeline{
		env: env, queue: q, inbox: in,
		toJournal: make(chan *batch, 1), fromJournal: make(chan *batch, 1),
		next: new(batch),
	}
	c.company.wait, c.company.timer = env.wait, time.NewTimer(time.Hour)
	c.company.timer.Stop()
	c.parking = &parking{env: &c.env, queue: q, inbox: in, backlog: &c.backlog, slots: make(map[*Slot]*parked)}
	c.others = &others{env: &c.env, queue: q, inbox: in, parking: c.parking, slots: make(map[*Slot]*catchUp)}
	return c
}

// loop runs until stop is closed and nothing waits any more. It ends the
// goroutine of writeBatches.
func (c *commitPipeline) loop(stop <-chan struct{}) {
	defer close(c.toJournal)
	defer c.inbox.end()
	for c.turn() || c.rest(stop) {
	}
}

// turn goes through the stages once. False: it found nothing to write or to
// finish.
func (c *commitPipeline) turn() bool {
	c.runInbox()
	c.gather()
	if len(c.backlog.held) > 0 { // they may rest on the landed batch
		c.finish()
		c.gather()
	}
	c.holdBack()
	b := c.send()
	switch {
	case b != nil && c.landed == nil: // nothing to do meanwhile: spare the switch of goroutines
		c.commitBatch(b)
		c.landed = b
	case b != nil:
		c.toJournal <- b
		c.finish()
		c.landed = <-c.fromJournal
	case c.landed != nil:
		c.finish()
	case !c.backlog.empty(): // it rested on what send refused
		c.backlog.release()
	default:
		return false
	}
	return true
}

// rest waits for something to do. False: the store closes, and nothing waits.
func (c *commitPipeline) rest(stop <-chan struct{}) bool {
	select {
	case p := <-c.queue.posts:
		c.backlog.todo = append(c.backlog.todo, p)
	case p := <-c.queue.many:
		c.backlog.many = append(c.backlog.many, p)
	case <-c.inbox.wake:
	case <-stop:
		c.others.giveUp()
		if c.queue.empty() && c.parking.empty() && c.inbox.empty() {
			return false
		}
		time.Sleep(time.Millisecond) // posts are parked: their loads end soon
	}
	return true
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
		if c.mayCool(slot) {
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
	return slot.pending == nil && !c.parking.holds(slot)
}
