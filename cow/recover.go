package cow

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// recovery is what the commit loop remembers of a slot that it can't decide
// about now: a load is under way.
type recovery struct {
	parked []*Post
	// doubt is an append whose outcome the journal could not tell. It is found
	// among what the load brings, by its mark, or it was not stored.
	doubt *doubt
	// catching counts the catch-ups under way. The last one to land decides:
	// one that began before an append was in doubt says nothing about it.
	catching int
	err      error // of one of them
}

type doubt struct {
	mark        uint64
	posts, dups []*Post
	retries     int
}

func (r *recovery) park(p *Post) { r.parked = append(r.parked, p) }

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
	c.waitFor(slot).park(p)
	c.s.loads.startSlot(slot, func(err error) { c.ask(func() { c.loaded(slot, err) }) })
}

// parkForChunk keeps a post until the chunk is there with which its id must be
// compared.
func (c *committer) parkForChunk(p *Post, slot *Slot, h *hot, i int) {
	c.waitFor(slot).park(p)
	ch := h.snap.Load().chunks[i]
	c.s.loads.startChunk(slot, ch, func(g *segment, err error) {
		c.ask(func() {
			p.pinned, p.pinnedC = g, ch
			c.loaded(slot, err)
		})
	})
}

// loaded lets the posts that waited for a load in again, in their order, or
// answers them when the load failed: they were never handed to the journal.
func (c *committer) loaded(slot *Slot, err error) {
	r := c.waiting[slot]
	if r == nil || r.catching > 0 || r.doubt != nil {
		return // a catch-up lets the posts in again, or has done so
	}
	delete(c.waiting, slot)
	if errors.Is(err, ErrNoSlot) && !slot.dead.Load() {
		c.bury(slot) // another writer removed it, and the feed has not said so yet
	}
	if err != nil && !errors.Is(err, ErrNoSlot) {
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
	c.catchUp(a.slot, a.hot)
}

// recoverAct decides a removal again when what stood in its way is known.
func (c *committer) recoverAct(p *Post) {
	r := c.waitFor(p.slot)
	r.parked = append([]*Post{p}, r.parked...)
	c.s.stats.Recoveries.Add(1)
	c.catchUp(p.slot, p.slot.hot.Load())
}

// foreign is a copy of an append that this loop did not decide.
type foreign struct {
	Append
	data []byte
}

func copyAppend(a *Append) foreign {
	f := foreign{Append: *a}
	n := 0
	for _, ev := range a.Events {
		n += len(ev.JSON)
	}
	f.data = make([]byte, 0, n)
	f.Events = make([]Event, len(a.Events))
	for i, ev := range a.Events {
		at := len(f.data)
		f.data = append(f.data, ev.JSON...)
		f.Events[i] = Event{JSON: f.data[at:len(f.data):len(f.data)], IDOff: ev.IDOff}
	}
	return f
}

// catchUp loads what stands behind the slot's head and applies it.
func (c *committer) catchUp(slot *Slot, h *hot) {
	c.waitFor(slot).catching++
	if h == nil {
		c.s.loads.startSlot(slot, func(err error) { c.ask(func() { c.caughtUp(slot, nil, err) }) })
		return
	}
	from := h.count
	c.s.loads.background(func() {
		var got []foreign
		err := c.s.journal.Load(slot.id, from, func(a *Append) error {
			got = append(got, copyAppend(a))
			return nil
		})
		c.ask(func() { c.caughtUp(slot, got, err) })
	})
}

// caughtUp applies what a catch-up found, settles the doubt and lets the
// parked posts in again.
func (c *committer) caughtUp(slot *Slot, got []foreign, err error) {
	r := c.waitFor(slot)
	r.catching--
	if errors.Is(err, ErrNoSlot) {
		if !slot.dead.Load() {
			c.bury(slot)
		}
		err = nil
	}
	if err == nil {
		for i := range got {
			if err = c.applyForeign(slot, &got[i].Append); err != nil {
				break
			}
		}
	}
	if r.err == nil {
		r.err = err
	}
	if r.catching > 0 {
		return
	}
	err, r.err = r.err, nil
	if err != nil {
		if d := r.doubt; d != nil && d.retries < 5 {
			d.retries++
			time.AfterFunc(time.Second, func() { c.ask(func() { c.catchUp(slot, slot.hot.Load()) }) })
			return
		}
		if r.doubt != nil {
			for _, p := range slices.Concat(r.doubt.posts, r.doubt.dups) {
				c.answer(p, false, ErrUnknown)
			}
		}
		delete(c.waiting, slot)
		for _, p := range r.parked {
			c.answer(p, false, fmt.Errorf("cannot read slot %s again: %w", slot.id, err))
		}
		return
	}
	if d := r.doubt; d != nil { // not found: certainly not stored
		r.parked = slices.Concat(d.posts, d.dups, r.parked)
	}
	delete(c.waiting, slot)
	c.carry = append(r.parked, c.carry...)
}

// fed takes an append that the journal says somebody stored.
func (c *committer) fed(f *foreign) {
	switch f.Op {
	case OpCreate:
		slot := &Slot{id: f.Slot, token: f.Token, version: f.Version}
		if _, known := c.s.slots.LoadOrStore(f.Slot, slot); !known {
			c.s.slotCount.Add(1)
		}
	case OpRemove:
		if slot := c.s.Slot(f.Slot); slot != nil {
			c.bury(slot)
		}
	case OpAppend:
		slot := c.s.Slot(f.Slot)
		if slot == nil {
			return
		}
		if err := c.applyForeign(slot, &f.Append); err != nil {
			c.catchUp(slot, slot.hot.Load())
		}
	}
}

var errGap = errors.New("cow: a gap in what was fed")

// applyForeign brings events to the readers that this loop did not decide.
// What is below the head is known already; what begins above it is errGap.
func (c *committer) applyForeign(slot *Slot, a *Append) error {
	if r := c.waiting[slot]; r != nil && r.doubt != nil && r.doubt.mark == a.Mark {
		for _, p := range r.doubt.posts {
			defer c.answer(p, false, nil)
		}
		for _, p := range r.doubt.dups {
			defer c.answer(p, true, nil)
		}
		r.doubt = nil
	}
	h := slot.hot.Load()
	if h == nil {
		if slot.count.Load() > 0 {
			// Its load will bring this too. Until then only the counts go on.
			c.applyCold(slot, a)
			// A load under way may have read the slot before this append. It
			// makes the slot hot first and compares the counts second; we set
			// the count first and look for the hot part second.
			if h = slot.hot.Load(); h == nil {
				slot.wakeSubscribers(c.s.now)
				return nil
			}
		} else if h = c.s.firstHeat(slot); h == nil {
			h = slot.hot.Load()
		}
	}
	end := a.First + uint64(len(a.Events))
	switch {
	case a.First > h.count:
		return errGap
	case end <= h.count:
		return nil
	}
	events := a.Events[h.count-a.First:]
	ids := make([]uint64, len(events))
	var room [MaxIDBytes]byte
	for i, ev := range events {
		if id, ok := ev.ID(room[:0]); ok {
			ids[i] = idPresent | uint64(c.s.hashID(id))
		}
	}
	c.apply(slot, h, events, ids, a.Version)
	return nil
}

// applyCold counts an append that the next load of the slot will bring.
func (c *committer) applyCold(slot *Slot, a *Append) {
	count, bytes := slot.count.Load(), slot.bytes.Load()
	if a.First+uint64(len(a.Events)) <= count {
		return
	}
	for i, ev := range a.Events {
		if a.First+uint64(i) >= count {
			bytes += uint64(len(ev.JSON))
		}
	}
	slot.version = a.Version
	c.tally(slot, a.First+uint64(len(a.Events)), bytes) // short by a gap until it is loaded
}

// settle is called when a load has brought another count than was known: too
// little, as it was overtaken by an append from elsewhere, or too much, as
// nobody had told of one.
func (c *committer) settle(slot *Slot) {
	h := slot.hot.Load()
	switch {
	case h == nil || slot.dead.Load():
	case h.count < slot.count.Load():
		c.catchUp(slot, h)
	default:
		c.tally(slot, h.count, h.appender.bytes)
	}
}

// refusal is what posters hear of a group that the journal refused.
func refusal(err error) error {
	if err == nil {
		return ErrBusy
	}
	return fmt.Errorf("cannot store: %w", err)
}
