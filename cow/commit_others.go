package cow

import (
	"errors"

	"cowrelay/cow/event"
)

// foreign is a copy of an append that this loop did not decide.
type foreign struct {
	Append
	data []byte
}

// size is about what the copy takes in memory.
func (f *foreign) size() int { return len(f.data) + 64*len(f.Events) + 256 }

func copyAppend(a *Append) foreign {
	f := foreign{Append: *a}
	n := 0
	for _, ev := range a.Events {
		n += len(ev.JSON)
	}
	f.data = make([]byte, 0, n)
	f.Events = make([]event.Event, len(a.Events))
	for i, ev := range a.Events {
		at := len(f.data)
		f.data = append(f.data, ev.JSON...)
		f.Events[i] = event.Event{JSON: f.data[at:len(f.data):len(f.data)], IDOff: ev.IDOff}
	}
	return f
}

// catchUp has what stands behind the slot's head loaded and applied. A slot has
// one catch-up under way at most, all slots as many as there are loads, and each
// holds a bounded part in memory until the loop takes it: so the loop, when it
// is held up, finds little.
func (c *committer) catchUp(slot *Slot) {
	r := c.waitFor(slot)
	r.retrying = false
	if r.catching {
		r.again = true
		return
	}
	r.catching = true
	c.catchers = append(c.catchers, slot)
	c.startCatching()
}

// startCatching begins as many of the catch-ups that wait as may run.
func (c *committer) startCatching() {
	for len(c.catchers) > 0 && c.catching < c.s.opts.Loads {
		slot := c.catchers[0]
		c.catchers = c.catchers[1:]
		c.catching++
		c.waiting[slot].again = false // what was asked for until now is behind the head
		c.startCatchUp(slot)
	}
}

func (c *committer) startCatchUp(slot *Slot) {
	tell := func(n catchNote) {
		n.slot = slot
		c.inbox.post(func(l *letters) { l.caught = append(l.caught, n) })
	}
	h := slot.hot.Load()
	switch {
	case slot.dead.Load():
		tell(catchNote{err: ErrNoSlot})
	case h == nil:
		c.s.loads.startSlot(slot, func(err error) { tell(catchNote{err: err}) })
	default:
		from := h.count
		c.s.loads.background(func(err error) {
			n := catchNote{err: err}
			if err == nil {
				n.got, n.more, n.err = c.s.loads.behind(slot, from)
			}
			tell(n)
		})
	}
}

// behind reads what the journal has from a position on, and no more than a
// bounded part of it.
func (l *loader) behind(slot *Slot, from uint64) (got []foreign, more bool, err error) {
	size := 0
	err = l.read(slot, from, func(a *Append) error {
		if size >= catchUpBytes {
			return errEnough
		}
		f := copyAppend(a)
		got, size = append(got, f), size+f.size()
		return nil
	})
	if err == errEnough {
		return got, true, nil
	}
	return got, false, err
}

// caughtUp applies what a catch-up found, settles the doubt and lets the
// parked posts in again.
func (c *committer) caughtUp(n *catchNote) {
	slot, r, err := n.slot, c.waiting[n.slot], n.err
	c.catching--
	defer c.startCatching()
	r.catching = false
	if errors.Is(err, ErrNoSlot) {
		if !slot.dead.Load() {
			c.bury(slot)
		}
		err = nil
	}
	if slot.dead.Load() { // what is behind its head counts nowhere
		c.settleDoubt(slot, r, nil)
		return
	}
	for i := 0; err == nil && i < len(n.got); i++ {
		err = c.applyForeign(slot, &n.got[i].Append)
	}
	if r.again || err == nil && n.more {
		c.catchUp(slot)
		return
	}
	c.settleDoubt(slot, r, err)
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
			c.catchUp(slot)
		}
	}
}

var errGap = errors.New("cow: a gap in what was fed")

// applyForeign brings events to the readers that this loop did not decide. The
// slot must not be dead. What is below the head is known already; what begins
// above it is errGap.
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
	var room [event.MaxIDBytes]byte
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
		c.catchUp(slot)
	default:
		c.tally(slot, h.count, h.appender.bytes)
	}
}
