package cow

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// recovery is what the commit loop remembers of a slot that it can't decide
// about now. It ends, and its posts are let in again, when nothing that it
// waits for is under way any more.
type recovery struct {
	parked []*Post
	sweep  int // with so many parked, those whose posters have gone are dropped
	// doubt is an append whose outcome the journal could not tell. It is found
	// among what a catch-up brings, by its mark, or it was not stored.
	doubt    *doubt
	loading  bool // a load of the slot, or of one of its chunks
	catching bool // a catch-up, which may not have begun
	// again: what the catch-up under way finds is not enough. It began before an
	// append was in doubt, for instance, and so says nothing about it.
	again    bool
	retrying bool  // the next catch-up comes in a second
	err      error // of the last catch-up, while a load is still under way
}

type doubt struct {
	mark        uint64
	posts, dups []*Post
	retries     int
}

const (
	sweepFirst   = 64
	catchRetries = 5
	// catchUpBytes is about how much one catch-up brings. The rest takes another.
	catchUpBytes = 1 << 20
)

// park keeps a post. Its poster may go while it waits, and for all of them the
// queue has a bound: so at most half of what is kept has gone.
func (r *recovery) park(p *Post) {
	if r.sweep = max(r.sweep, sweepFirst); len(r.parked) >= r.sweep {
		r.parked = slices.DeleteFunc(r.parked, func(p *Post) bool { return p.state.Load() == postAbandoned })
		r.sweep = 2 * len(r.parked)
	}
	r.parked = append(r.parked, p)
}

func (c *committer) waitFor(slot *Slot) *recovery {
	r := c.waiting[slot]
	if r == nil {
		r = new(recovery)
		c.waiting[slot] = r
	}
	return r
}

// parkForLoad keeps a post until its cold slot is hot.
func (c *committer) parkForLoad(p *Post, slot *Slot) {
	r := c.waitFor(slot)
	r.park(p)
	r.loading = true
	c.s.loads.startSlot(slot, func(err error) {
		c.inbox.post(func(l *letters) { l.loaded = append(l.loaded, loadNote{slot: slot, err: err}) })
	})
}

// parkForChunk keeps a post until the chunk is there with which its id must be
// compared.
func (c *committer) parkForChunk(p *Post, slot *Slot, h *hot, i int) {
	r := c.waitFor(slot)
	r.park(p)
	r.loading = true
	ch := h.snap.Load().chunks[i]
	c.s.loads.startChunk(slot, ch, func(g *segment, err error) {
		c.inbox.post(func(l *letters) { l.loaded = append(l.loaded, loadNote{slot, ch, g, err}) })
	})
}

// loaded lets the posts that waited for a load in again, in their order, or
// answers them when the load failed: they were never handed to the journal. A
// post that meets the chunk missing again, because it failed to load beside a
// catch-up, waits for another load.
func (c *committer) loaded(n *loadNote) {
	slot, r := n.slot, c.waiting[n.slot]
	r.loading = false
	if n.chunk != nil && n.err == nil {
		for _, p := range r.parked {
			p.pinned, p.pinnedC = n.segment, n.chunk
		}
	}
	if errors.Is(n.err, ErrNoSlot) && !slot.dead.Load() {
		c.bury(slot) // another writer removed it, and the feed has not said so yet
	}
	switch {
	case r.catching || r.doubt != nil: // the last catch-up lets the posts in
	case r.err != nil:
		c.conclude(slot, r, r.err)
	default:
		c.conclude(slot, r, n.err)
	}
}

// conclude ends a recovery: nothing is under way for the slot any more.
func (c *committer) conclude(slot *Slot, r *recovery, err error) {
	delete(c.waiting, slot)
	if err != nil && !slot.dead.Load() {
		for _, p := range r.parked {
			c.answer(p, false, err)
		}
		return
	}
	c.carry = append(r.parked, c.carry...)
}

// recover takes an append back that the journal did not store, or may not have
// stored, and looks at what is there before anything else is decided.
func (c *committer) recover(a *pendingAppend, unknown bool) {
	r := c.waitFor(a.slot)
	if unknown {
		r.doubt = &doubt{mark: a.mark, posts: slices.Clone(a.posts), dups: slices.Clone(a.dups)}
	} else {
		r.parked = slices.Concat(a.posts, a.dups, r.parked)
	}
	c.s.stats.Recoveries.Add(1)
	c.catchUp(a.slot)
}

// recoverAct decides a removal again when what stood in its way is known.
func (c *committer) recoverAct(p *Post) {
	r := c.waitFor(p.slot)
	r.parked = append([]*Post{p}, r.parked...)
	c.s.stats.Recoveries.Add(1)
	c.catchUp(p.slot)
}

// giveUp ends what would be tried again later: the store closes.
func (c *committer) giveUp() {
	for slot, r := range c.waiting {
		if r.retrying {
			r.doubt.retries = catchRetries
			r.retrying = false
			c.settleDoubt(slot, r, ErrClosed)
		}
	}
}

// settleDoubt follows the last catch-up, which failed or came to the end.
func (c *committer) settleDoubt(slot *Slot, r *recovery, err error) {
	if d := r.doubt; d != nil {
		switch {
		case slot.dead.Load(), err == nil: // not found: certainly not stored
			r.parked = slices.Concat(d.posts, d.dups, r.parked)
		case d.retries < catchRetries:
			d.retries++
			r.retrying = true
			time.AfterFunc(time.Second, func() {
				c.inbox.post(func(l *letters) { l.retry = append(l.retry, slot) })
			})
			return
		default:
			for _, p := range slices.Concat(d.posts, d.dups) {
				c.answer(p, false, ErrUnknown)
			}
		}
		r.doubt = nil
	}
	if err != nil {
		err = fmt.Errorf("cannot read slot %s again: %w", slot.id, err)
	}
	if r.loading {
		r.err = err
		return
	}
	c.conclude(slot, r, err)
}

// refusal is what posters hear of a group that the journal refused.
func refusal(err error) error {
	if err == nil {
		return ErrBusy
	}
	return fmt.Errorf("cannot store: %w", err)
}
