package cow

import (
	"errors"

	"cowrelay/cow/event"
	"cowrelay/cow/index"
)

// others brings in what this loop did not decide: the appends, creations and
// removals of other writers to the same journal, and its own appends of which
// the journal could not say what became of them. A journal with one writer, whose
// commits always have an outcome, never leads here.
//
//	the journal's feed ----> fed -----------.
//	                                        |  a gap
//	Conflict, Unknown ----> takeBack -------+------> catchUp ----> caughtUp
//	a load and the counts --> recount ------'  (commit_catchup.go)    |
//	                                                                  v
//	                   bring: publish what is behind the slot's head, once
//
// It belongs to the loop. The main path calls it where a landed batch is finished
// (takeBack, takeBackRemoval), where the inbox is run, and when the store closes.
type others struct {
	env     *commitEnv
	queue   *postQueue
	inbox   *inbox
	parking *parking

	slots   map[*Slot]*catchUp // for each slot whose head is not known
	waiting []*Slot            // whose catch-ups have no turn yet
	running int                // catch-ups that have one
}

var errGap = errors.New("cow: a gap in what was fed")

// fed takes what the journal says that somebody stored.
func (o *others) fed(f *foreign) {
	if f.Op == OpCreate {
		o.env.enter(&Slot{id: f.Slot, token: f.Token, version: f.Version})
		return
	}
	slot := o.env.slot(f.Slot)
	switch {
	case slot == nil:
	case f.Op == OpRemove:
		o.env.bury(slot)
	case f.Op == OpAppend:
		if err := o.bring(slot, &f.Append); err != nil {
			o.catchUp(slot)
		}
	}
}

// bring brings an append that this loop did not decide to the readers of its
// slot, which must not be dead. What is below the head is known already. An
// append that begins above it is errGap.
func (o *others) bring(slot *Slot, a *Append) error {
	h := o.env.hotPart(slot)
	if h == nil {
		// The slot's next load will bring this too. Until then only the counts go on.
		o.count(slot, a)
		// A load under way may have read the slot before this append. It makes the
		// slot hot first and compares the counts second; we set the count first and
		// look for the hot part second.
		if h = slot.hot.Load(); h == nil {
			slot.wakeSubscribers(o.env.clock.now)
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
		o.queue.answerAll(d.posts, false, nil)
		o.queue.answerAll(d.dups, true, nil)
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
	o.env.tally(slot, end, bytes)
}

// recount follows a load that brought another count than was known: less, as an
// append from elsewhere overtook it, or more, as the feed had not told of one.
func (o *others) recount(slot *Slot) {
	h := slot.hot.Load()
	switch {
	case h == nil || slot.dead.Load():
	case h.count < slot.count.Load():
		o.catchUp(slot)
	default:
		o.env.tally(slot, h.count, h.appender.bytes)
	}
}
