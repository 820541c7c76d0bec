package retention

import (
	"time"

	"cowrelay/cow"
)

// Bound returns how long something is kept: as its slot asks, or else as the operator
// says, who may have said less since the slot was made. 0 is for ever. asked says that it
// is the slot's own.
func Bound(own, operator time.Duration) (d time.Duration, asked bool) {
	if own == 0 || operator > 0 && operator < own {
		return operator, false
	}
	return own, true
}

// End is when a slot ends by itself if nobody uses it until then. It may be an eighth of
// its time later, as it is noted so often when slots were used; and more in a fleet, see
// turn.go, or behind a leap of the clock.
type End struct {
	At     time.Time
	Unused bool // nobody has ever used it; else nobody does any more
}

// End returns when a slot ends. Not ok: never, or not while somebody reads it by a stream
// or a long poll. It reads the generations that are stored, so it costs more the more
// slots there are: it is for operators. It may be called at any time. The error is
// cow.ErrNoSlot if the slot has ended meanwhile, or the journal's.
func (p Policy) End(store *cow.Store, slot *cow.Slot, now time.Time) (end End, ok bool, err error) {
	own, err := store.Lifetime(slot.ID())
	if err != nil || slot.Subscribers() > 0 {
		return End{}, false, err
	}
	use := slot.LastUse()
	consider := func(prefix string, after, looks time.Duration, unused bool) {
		at, e := noted(store.Records(), prefix, entry{slot.ID(), use.End})
		if e != nil {
			err = e
			return
		}
		if at.IsZero() { // the next generation names it
			at = now
		}
		at = endOf(at, after, looks, time.Unix(use.ReadAt, 0), now)
		if !ok || at.Before(end.At) {
			end, ok = End{at, unused}, true
		}
	}
	if p.UnusedSlot > 0 && use == (cow.Use{}) {
		consider(prefix, p.UnusedSlot, p.UnusedSlot, true)
	}
	if p.IdleSlot > 0 {
		consider(prefix, p.IdleSlot, p.IdleSlot, false)
	}
	if own.Slot > 0 {
		class := classOf(uint32(own.Slot / time.Second))
		consider(ownClassPrefix(class), own.Slot, 2*shortest(class), false)
	}
	// A slot ends before the generation that names it. So what was not found may have
	// ended meanwhile.
	if err == nil && store.Slot(slot.ID()) == nil {
		err = cow.ErrNoSlot
	}
	if err != nil {
		return End{}, false, err
	}
	return end, ok, nil
}

// endOf is when a slot ends that was noted at a time and read at another. A slot that was
// read meanwhile is looked at until looks after the note, and then noted again.
func endOf(at time.Time, after, looks time.Duration, read, now time.Time) time.Time {
	due, unread, last := at.Add(after), read.Add(after), at.Add(looks)
	switch {
	case !unread.After(due):
		return due
	case !unread.After(last.Add(mostWait)): // the last look may be a bit late
		return unread
	case last.Before(now):
		last = now
	}
	return last.Add(after)
}

// noted returns the time of the newest generation that names a slot as it is now, zero if
// there is none.
func noted(r cow.Records, prefix string, want entry) (at time.Time, err error) {
	err = r.List(prefix, func(key string, value []byte, _ uint64) error {
		p, ok := parsePart(prefix, key)
		if !ok || !p.at.After(at) {
			return nil
		}
		// What can't be read was told of when it came.
		_ = entries(value, func(e entry) {
			if e == want {
				at = p.at
			}
		})
		return nil
	})
	return at, err
}
