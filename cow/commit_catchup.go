package cow

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// catchUpBytes is about how much one catch-up brings into memory. The rest
	// takes another.
	catchUpBytes = 1 << 20
	// An append in doubt is looked for so often, and so long apart.
	catchUpRetries = 5
	catchUpPause   = time.Second
)

// catchUp is a slot whose head is not known, because another writer was seen to
// be ahead, or because an append is in doubt. What the journal has behind the
// head is read and published, until there is no more. Meanwhile the slot's posts
// are parked.
//
//	          has a turn            all was read
//	waiting ------------> running ---------------> over: the posts are let in
//	   ^                     |                           (or get the error)
//	   |  more, or again     |  failed, and an append is in doubt
//	   +---------------------+
//	   |      a second         |
//	   '------------------- retrying
type catchUp struct {
	// doubt is an append whose outcome the journal could not tell, or nil. It is
	// found by its mark among what the journal has, or it was not stored.
	doubt    *doubt
	underWay bool // waiting or running
	// again: what the catch-up under way finds is not enough. It may have begun
	// before the append in doubt, for instance, and then says nothing about that.
	again    bool
	retrying bool
}

// doubt is an append of this loop that may be stored.
type doubt struct {
	mark        uint64
	posts, dups []*Post
	retries     int
}

// takeBack takes an append that the journal did not store, or may not have
// stored (unknown). Nothing else is decided about the slot until the truth is
// known; then the append's posts are answered, or decided again.
func (o *others) takeBack(a *pendingAppend, unknown bool) {
	x := o.at(a.slot)
	if unknown {
		x.doubt = &doubt{mark: a.mark, posts: slices.Clone(a.posts), dups: slices.Clone(a.dups)}
	} else {
		o.parking.addFirst(a.slot, slices.Concat(a.posts, a.dups)...)
	}
	o.env.stats.Recoveries.Add(1)
	o.catchUp(a.slot)
}

// takeBackRemoval takes a removal that another writer's act stood in the way of.
func (o *others) takeBackRemoval(p *Post) {
	o.at(p.slot)
	o.parking.addFirst(p.slot, p)
	o.env.stats.Recoveries.Add(1)
	o.catchUp(p.slot)
}

// at has the slot's posts wait until its catch-ups are over.
func (o *others) at(slot *Slot) *catchUp {
	x := o.slots[slot]
	if x == nil {
		x = new(catchUp)
		o.slots[slot] = x
		o.parking.othersBegin(slot)
	}
	return x
}

// catchUp has what is behind the slot's head read and published. A slot has one
// catch-up under way at most. All slots together have as many as there are
// loads, and each holds a bounded part in memory until the loop takes it: so a
// loop that was held up finds little.
func (o *others) catchUp(slot *Slot) {
	x := o.at(slot)
	x.retrying = false
	if x.underWay {
		x.again = true
		return
	}
	x.underWay = true
	o.waiting = append(o.waiting, slot)
	o.start()
}

// start begins as many of the catch-ups that wait as may run.
func (o *others) start() {
	for len(o.waiting) > 0 && o.running < o.env.catchUps {
		slot := o.waiting[0]
		o.waiting = o.waiting[1:]
		o.running++
		o.slots[slot].again = false // what was asked for until now is behind the head
		o.read(slot)
	}
}

// read reads what is behind the slot's head. A cold slot is loaded instead.
func (o *others) read(slot *Slot) {
	h := slot.hot.Load()
	switch {
	case slot.dead.Load():
		o.inbox.noteCatch(catchNote{slot: slot, err: ErrNoSlot})
	case h == nil:
		o.env.loadSlot(slot, func(err error) { o.inbox.noteCatch(catchNote{slot: slot, err: err}) })
	default:
		o.env.loadBehind(slot, h.count, func(got []foreign, more bool, err error) {
			o.inbox.noteCatch(catchNote{slot, got, more, err})
		})
	}
}

// caughtUp publishes what a catch-up found.
func (o *others) caughtUp(n *catchNote) {
	slot, x, err := n.slot, o.slots[n.slot], n.err
	o.running--
	defer o.start()
	x.underWay = false
	if errors.Is(err, ErrNoSlot) {
		if !slot.dead.Load() {
			o.env.bury(slot)
		}
		err = nil
	}
	if slot.dead.Load() { // what is behind its head counts nowhere
		o.over(slot, x, nil)
		return
	}
	for i := 0; err == nil && i < len(n.got); i++ {
		err = o.bring(slot, &n.got[i].Append)
	}
	if x.again || err == nil && n.more {
		o.catchUp(slot)
		return
	}
	o.over(slot, x, err)
}

// found takes the append in doubt out of doubt if it bears the mark, and returns
// it.
func (o *others) found(slot *Slot, mark uint64) *doubt {
	x := o.slots[slot]
	if x == nil || x.doubt == nil || x.doubt.mark != mark {
		return nil
	}
	d := x.doubt
	x.doubt = nil
	return d
}

// over follows the last catch-up of a slot, which failed or came to the end.
func (o *others) over(slot *Slot, x *catchUp, err error) {
	if d := x.doubt; d != nil {
		switch {
		case slot.dead.Load(), err == nil: // not found: certainly not stored
			o.parking.addFirst(slot, slices.Concat(d.posts, d.dups)...)
		case d.retries < catchUpRetries:
			d.retries++
			x.retrying = true
			time.AfterFunc(catchUpPause, func() { o.inbox.askRetry(slot) })
			return
		default:
			o.queue.answerAll(d.posts, false, ErrUnknown)
			o.queue.answerAll(d.dups, false, ErrUnknown)
		}
	}
	if err != nil {
		err = fmt.Errorf("cannot read slot %s again: %w", slot.id, err)
	}
	delete(o.slots, slot)
	o.parking.othersEnd(slot, err)
}

// retry begins another catch-up of a slot, unless that was overtaken.
func (o *others) retry(slot *Slot) {
	if x := o.slots[slot]; x != nil && x.retrying {
		o.catchUp(slot)
	}
}

// giveUp ends what would be tried again later: the store closes.
func (o *others) giveUp() {
	for slot, x := range o.slots {
		if !x.retrying {
			continue
		}
		x.retrying = false
		if x.doubt != nil { // the feed may have told of it meanwhile
			x.doubt.retries = catchUpRetries
		}
		o.over(slot, x, ErrClosed)
	}
}
