package cow

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"cowrelay/cow/event"
	"cowrelay/cow/index"
)

// others brings in what this loop did not decide: what other writers to the same
// journal did, and appends of this loop of which the journal could not say
// whether it stored them. A journal with one writer, which always knows, does not
// lead here.
//
//	what comes in                          what it leads to
//	fed: the journal's feed                bring; from there catchUp, if there is a gap
//	                                       or the feed has kept events back
//	takeBack: Conflict or Unknown          catchUp
//	recount: a load found another count    catchUp, or the count is corrected
//
// A catch-up reads what the journal has behind the slot's head and brings that.
//
// The main path calls it at four seams: finish (takeBack, takeBackRemoval),
// runInbox (fed, caughtUp, retry, recount), rest (giveUp), and by way of the
// parking, which keeps a slot's posts while its head is not known. It belongs to
// the loop.
type others struct {
	env     *commitEnv
	queue   *postQueue
	inbox   *inbox
	parking *parking

	slots   map[*Slot]*catchUp // for each slot whose head is not known
	waiting []*Slot            // whose catch-ups wait for a turn
	running int                // catch-ups that have one
}

// catchUp is a slot whose head is not known, because another writer was seen to
// be ahead, or because an append is in doubt.
//
//	  catchUp           start             caughtUp: all was read
//	---------> waiting -------> running -------------------------> over
//	            ^  ^                |
//	            |  |  caughtUp:     |  caughtUp: an append is in doubt,
//	            |  '--- more, ------+  and the read failed
//	            |       again       v
//	            '--------------- retrying
//	                 a second
//
// When it is over the slot's posts are decided, or get the error of the read.
type catchUp struct {
	// doubt is an append of which the journal could not say whether it is stored,
	// or nil. If what the journal has behind the head bears its mark it is stored,
	// else it is not.
	doubt    *doubt
	underWay bool // waiting or running
	// again: what the catch-up under way finds is not enough. It may have begun
	// before the append in doubt, for instance, and then says nothing about that.
	again    bool
	retrying bool
	// light: it follows the feed alone, so a cold slot may stay cold.
	light bool
	// settles wait until it is over.
	settles []settleNote
}

// doubt is an append of this loop that may be stored.
type doubt struct {
	mark        uint64
	posts, dups []*Post
	retries     int
}

const (
	// catchUpBytes is about how much one catch-up brings into memory. What is more
	// takes another.
	catchUpBytes = 1 << 20
	// An append in doubt is looked for once more so often, and so long apart.
	catchUpRetries = 5
	catchUpPause   = time.Second
)

var errGap = errors.New("cow: a gap in what was fed")

// fed takes what the journal says that somebody stored.
func (o *others) fed(f *foreign) {
	if f.Op == OpCreate {
		o.env.enter(&Slot{id: f.Slot, token: f.Token, owner: f.Owner, version: f.Version})
		return
	}
	slot := o.env.slot(f.Slot)
	switch {
	case slot == nil:
	case f.Op == OpRemove:
		o.env.bury(slot)
	case f.Op == OpTouch:
		slot.heard(f.PulledAt, f.StreamedAt)
	case f.Op == OpTrim:
		o.env.trim(slot, f.First, f.Gone)
	case f.Op == OpAppend && len(f.Events) == 0:
		o.untold(slot)
	case f.Op == OpAppend:
		if err := o.bring(slot, &f.Append); err != nil {
			o.catchUp(slot)
		}
	}
}

// untold takes an append of which the feed has kept the events back, because too much
// waited there. It may stand for later ones too, so what is behind the head is read
// also if this one is known.
func (o *others) untold(slot *Slot) {
	if o.slots[slot] == nil {
		o.at(slot).light = true
	}
	o.catchUp(slot)
}

// head is the position up to which the slot's events are known.
func (o *others) head(slot *Slot) uint64 {
	if h := slot.hot.Load(); h != nil {
		return h.count
	}
	return slot.count.Load()
}

// settle answers when the head of the slot is known.
func (o *others) settle(n settleNote) {
	switch x := o.slots[n.slot]; {
	case n.slot == nil:
		n.answer <- settled{}
	case x != nil:
		x.settles = append(x.settles, n)
	default:
		n.answer <- settled{count: o.head(n.slot)}
	}
}

// bring brings an append that this loop did not decide to the readers of its
// slot, which must not be dead. What is below the head is known already. An
// append that begins above it is errGap.
func (o *others) bring(slot *Slot, a *Append) error {
	if a.Op == OpTrim { // what would come next has left
		o.env.trim(slot, a.First, 0)
		return nil
	}
	h := o.env.hotPart(slot)
	if h == nil {
		// The slot's next load will bring this too. Until then only the counts go on.
		o.count(slot, a)
		// A load under way may have read the slot before this append. It makes the
		// slot hot first and compares the counts second; we set the count first and
		// look for the hot part second.
		if h = slot.hot.Load(); h == nil {
			slot.subs.wake(o.env.clock.now)
			return nil
		}
	}
	if a.First > h.count {
		return errGap
	}
	// A slot that is parked does not go cold, so an append in doubt is found here.
	d := o.found(slot, a.Mark)
	if a.First+uint64(len(a.Events)) > h.count {
		events := a.Events[h.count-a.First:]
		o.env.publish(slot, h, events, o.keys(events), a.Version)
	}
	if d != nil { // acknowledged, as it is visible now
		o.queue.acknowledge(d.posts, d.dups, a.First, a.First+uint64(len(a.Events)))
	}
	return nil
}

// keys are the idKeys of events.
func (o *others) keys(events []event.Event) []uint64 {
	keys := make([]uint64, len(events))
	var room [event.MaxIDBytes]byte
	for i, ev := range events {
		if id, ok := ev.ID(room[:0]); ok {
			keys[i] = idKey(index.Hash(o.env.seed, id))
		}
	}
	return keys
}

// count counts an append to a cold slot. Where it leaves a gap the bytes are
// short until the slot is loaded.
func (o *others) count(slot *Slot, a *Append) {
	count, bytes := slot.count.Load(), slot.bytes.Load()
	end := a.First + uint64(len(a.Events))
	if end <= count {
		return
	}
	for i, ev := range a.Events {
		if a.First+uint64(i) >= count {
			bytes += uint64(len(ev.JSON))
		}
	}
	slot.version = a.Version
	o.env.tally(slot, uint64(slot.first.Load()), end, bytes)
}

// recount follows a load that brought another count than was known: less, as an
// append from elsewhere overtook it, or more, as the feed had not told of one.
func (o *others) recount(slot *Slot) {
	h := slot.hot.Load()
	if h != nil && !slot.dead.Load() {
		o.env.trim(slot, uint64(slot.first.Load()), 0) // one may have overtaken the load
	}
	switch {
	case h == nil || slot.dead.Load():
	case h.count < slot.count.Load():
		o.catchUp(slot)
	default:
		o.env.tally(slot, h.first, h.count, h.appender.bytes)
	}
}

// takeBack takes an append that the journal did not store, or may not have
// stored (unknown). Nothing else is decided about the slot until the truth is
// known; then the append's posts are answered, or decided again.
func (o *others) takeBack(a *pendingAppend, unknown bool) {
	x := o.at(a.slot)
	x.light = false
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
	o.at(p.slot).light = false
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

// read reads what is behind the slot's head. A cold slot is loaded instead, unless
// the feed alone asks: then only its counts go on.
func (o *others) read(slot *Slot) {
	h := slot.hot.Load()
	switch {
	case slot.dead.Load():
		o.inbox.noteCatch(catchNote{slot: slot, err: ErrNoSlot})
	case h == nil && o.slots[slot].light:
		o.env.loadBehind(slot, slot.count.Load(), func(got []foreign, more bool, err error) {
			o.inbox.noteCatch(catchNote{slot, got, more, err})
		})
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
	for _, n := range x.settles {
		n.answer <- settled{o.head(slot), err}
	}
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
