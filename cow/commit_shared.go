package cow

import (
	"slices"
	"time"
)

// The turns of the loop over a journal that other relays write to as well (Shared).
// The log is elsewhere there, and it may be away, so a batch may be with the journal
// for long. The loop never calls the journal itself. While a batch is there, it does
// what has nothing to do with that batch:
//
//   - What others than posters ask is run for each slot that no batch holds. What is
//     about a slot of a batch waits in later until that batch is finished.
//   - Posts stay in the queue. A decision that was made now would rest on what the
//     feed may change before the batch is sent.
//
// A poster gives up when its patience is over, also if the journal has its post:
// nobody knows then what becomes of it. The batch lives on.
//
//	          send              the journal answers            finish
//	filling -------> flying ---------------------> landed ---------------> later
//	                   |
//	                   '-- the store closes and no answer comes --> lost
type awaited struct {
	flying *batch  // the journal has it; nil: it has none
	later  letters // about slots that a batch holds
	// lost: the store closed while the journal had a batch. The loop writes it before
	// it ends.
	lost bool
}

const (
	// sharedTick is how often posts of posters that gave up are dropped while a batch
	// is with the journal.
	sharedTick = time.Second
	// closePatience is how long a store that closes waits for the journal's answer.
	closePatience = 2 * time.Second
)

// sharedLoop runs until stop is closed and nothing waits any more, or until the
// journal keeps a batch for too long behind that.
func (c *commitPipeline) sharedLoop(stop <-chan struct{}) {
	tick := time.NewTicker(sharedTick)
	defer tick.Stop()
	var late <-chan time.Time
	for {
		if !c.inbox.empty() {
			c.run(c.inbox.take(c.away.later.fedSize <= fedBytes))
		}
		if c.away.flying == nil && c.sharedTurn() {
			continue
		}
		posts, many := c.queue.posts, c.queue.many
		if c.away.flying != nil {
			posts, many = nil, nil
		}
		if late != nil {
			c.others.giveUp()
			if c.away.flying == nil && c.queue.empty() && c.parking.empty() && c.inbox.empty() {
				return
			}
		}
		select {
		case b := <-c.fromJournal:
			c.away.flying, c.landed = nil, b
		case p := <-posts:
			c.backlog.todo = append(c.backlog.todo, p)
		case p := <-many:
			c.backlog.many = append(c.backlog.many, p)
		case <-c.inbox.wake:
		case <-tick.C:
			if c.away.flying != nil {
				c.sweep()
			}
		case <-stop:
			stop, late = nil, time.After(closePatience)
			tick.Reset(time.Millisecond) // posts are parked: their loads end soon
		case <-late:
			c.abandon()
			return
		}
	}
}

// sharedTurn goes through the stages once while the journal has no batch. False: it
// found nothing to do.
func (c *commitPipeline) sharedTurn() bool {
	c.gather()
	if len(c.backlog.held) > 0 && c.landed != nil { // they may rest on it
		c.finishShared()
		c.gather()
	}
	b := c.send()
	if b != nil {
		c.away.flying = b
		c.toJournal <- b
	}
	switch {
	case c.landed != nil: // while the journal has the next one
		c.finishShared()
	case b != nil:
	case !c.backlog.empty(): // it rested on what send refused
		c.backlog.release()
	default:
		return false
	}
	return true
}

// finishShared finishes the landed batch, and then runs what waited for its slots.
func (c *commitPipeline) finishShared() {
	c.finish()
	l := c.away.later
	c.away.later = letters{}
	c.run(l)
}

// sweep takes posts of posters that gave up out of the queue. Else they would fill it
// while the log is away, and new posts would find no place to wait in.
func (c *commitPipeline) sweep() {
	c.backlog.todo = sifted(c.backlog.todo, c.queue.posts)
	c.backlog.many = sifted(c.backlog.many, c.queue.many)
	c.backlog.held = sifted(c.backlog.held, nil)
}

// sifted returns the list with what waits in the channel behind it, without the posts
// whose posters gave up.
func sifted(list []*Post, from chan *Post) []*Post {
	for len(from) > 0 {
		list = append(list, <-from)
	}
	return slices.DeleteFunc(list, (*Post).givenUp)
}

// abandon answers all posts: the store closes, and no answer of the journal came in
// time. Posts that the journal has may be stored or not. Their memory is the
// journal's until it has returned.
func (c *commitPipeline) abandon() {
	if b := c.away.flying; b != nil {
		c.away.lost = true
		for _, p := range b.acts {
			if p != nil {
				c.leave(p)
			}
		}
		for _, a := range b.appends {
			for _, p := range slices.Concat(a.posts, a.dups) {
				c.leave(p)
			}
		}
	}
	c.finish()
	for {
		c.sweep()
		c.queue.answerAll(slices.Concat(c.backlog.todo, c.backlog.many, c.backlog.held), false, ErrClosed)
		c.backlog = backlog{}
		for slot, w := range c.parking.slots {
			c.queue.answerAll(w.posts, false, ErrClosed)
			delete(c.parking.slots, slot)
		}
		for slot, x := range c.others.slots {
			if d := x.doubt; d != nil {
				c.queue.answerAll(slices.Concat(d.posts, d.dups), false, ErrUnknown)
			}
			for _, n := range x.settles {
				n.answer <- settled{err: ErrClosed}
			}
			delete(c.others.slots, slot)
		}
		if c.queue.empty() {
			return
		}
		time.Sleep(time.Millisecond) // somebody is about to queue a post, or sees that the store is closed
	}
}

// removeOrphan removes a slot whose tokens nobody has: whoever wanted it gave up while
// the log was away.
func (c *commitPipeline) removeOrphan(slot *Slot) {
	p := newFreePost().(*Post)
	p.queue, p.kind, p.slot, p.queuedNs = c.queue, postRemove, slot, c.env.clock.now()
	c.queue.enter(p) // beyond the bounds, perhaps: there are never more than a batch has
	c.backlog.todo = append(c.backlog.todo, p)
}

// leave answers a post that the journal keeps.
func (c *commitPipeline) leave(p *Post) {
	p.lent = true
	c.queue.answer(p, false, ErrAway)
}
