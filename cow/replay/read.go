package replay

import (
	"errors"
	"fmt"
	"sync"

	"cowrelay/cow"
)

// ErrCorrupt is wrapped by errors that say that the log and the store don't fit
// together.
var ErrCorrupt = errors.New("replay: log and store don't fit together")

// reads are the reads of a journal. Each merges the store with the backlog, so that
// it shows one moment of the log. Why that is right:
//
//  1. A chunk leaves the backlog when Store.Apply has returned, never before. So at
//     each moment each entry that is durable is in the backlog or in the store.
//  2. A read takes the list of chunks first, and the view of the store then. An
//     entry that was durable when it took the list is on the list, or it was in the
//     store by then and so is in the view.
//  3. The store takes a chunk whole, in one batch. A chunk that was sealed late may
//     hold more entries than its span on the list. So a span is in the view as a
//     whole, or not at all: it is if its first entry is not behind View.Applied.
//     The read skips such a span, so it sees nothing twice.
//  4. Let the view end at entry a, and the list at entry b. If a >= b, all spans are
//     skipped and the read shows the log up to a. Else it shows the view and then
//     the spans behind a. Chunks are in the order of the log and without gaps, so
//     that is the log up to b. Both a and b are durable entries (I4), and none is
//     older than what was durable when the read began (I3).
type reads struct {
	store   Store
	backlog backlog
}

// piece is a group of one slot in the backlog.
type piece struct {
	first uint64 // entry of its span
	group *Group
}

// loadBuffer is what one Load uses.
type loadBuffer struct {
	spans  []span
	pieces []piece
	append cow.Append
}

var loadBuffers = sync.Pool{New: func() any { return new(loadBuffer) }}

// Load implements cow.Journal. Each Append and its bytes are valid during the call
// that gives them.
func (r *reads) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	buf := loadBuffers.Get().(*loadBuffer)
	defer func() {
		clear(buf.spans)
		clear(buf.pieces)
		buf.append = cow.Append{}
		loadBuffers.Put(buf)
	}()
	var done func()
	buf.spans, done = r.backlog.spans(buf.spans[:0])
	defer done()
	buf.pieces = buf.pieces[:0]
	created, gone, oldest := false, false, from
	key := slotKey(slot)
	for _, s := range buf.spans {
		for i, k := range s.keys {
			if k != key || s.groups[i].Slot != slot {
				continue
			}
			switch g := &s.groups[i]; g.Op {
			case cow.OpCreate:
				created, gone, oldest, buf.pieces = true, false, from, buf.pieces[:0]
			case cow.OpRemove:
				created, gone, oldest, buf.pieces = false, true, from, buf.pieces[:0]
			case cow.OpTrim:
				oldest = max(oldest, g.Oldest)
			case cow.OpAppend:
				buf.pieces = append(buf.pieces, piece{s.first, g})
			}
		}
	}
	if gone {
		return cow.ErrNoSlot
	}
	if oldest > from {
		buf.append = cow.Append{Op: cow.OpTrim, Slot: slot, Version: oldest, First: oldest}
		if err := yield(&buf.append); err != nil {
			return err
		}
		from = oldest
	}
	next, pieces := from, buf.pieces
	switch {
	case created, len(pieces) > 0 && from >= pieces[0].group.First:
		// The slot was there when the list was taken, and the list has all that is
		// wanted of it. The store may have the same.
	default:
		var err error
		if from, next, pieces, err = r.loadStore(slot, from, pieces, yield); err != nil {
			return err
		}
	}
	for _, p := range pieces {
		g := p.group
		switch end := g.First + uint64(len(g.Events)); {
		case end <= next && next == from:
			continue
		case g.First > next, g.First < next && next != from:
			return fmt.Errorf("%w: slot %s: the store ends at position %d, the log goes on at position %d", ErrCorrupt, slot, next, g.First)
		default:
			buf.append = cow.Append{Op: cow.OpAppend, Slot: slot, Version: end, First: next, Events: g.Events[next-g.First:]}
			next = end
		}
		if err := yield(&buf.append); err != nil {
			return err
		}
	}
	return nil
}

// loadStore yields what the store has of a slot. It returns the position behind
// that, and the pieces that its view does not have.
func (r *reads) loadStore(slot cow.ID, from uint64, pieces []piece, yield func(*cow.Append) error) (oldest, next uint64, rest []piece, err error) {
	v, err := r.store.View()
	if err != nil {
		return 0, 0, nil, err
	}
	defer v.Close()
	applied := v.Applied()
	for len(pieces) > 0 && pieces[0].first <= applied {
		pieces = pieces[1:]
	}
	oldest, next = from, from
	err = v.Load(slot, from, func(a *cow.Append) error {
		if a.Op == cow.OpTrim { // newer than the list
			oldest = a.First
		}
		next = max(next, a.First+uint64(len(a.Events)))
		return yield(a)
	})
	if err == cow.ErrNoSlot && len(pieces) > 0 {
		return 0, 0, nil, fmt.Errorf("%w: the log appends to slot %s, the store does not have it", ErrCorrupt, slot)
	}
	return oldest, next, pieces, err
}

// change is what the backlog says of a slot.
type change struct {
	record                cow.SlotRecord
	gone, created, seen   bool
	hasCounts, hasTouched bool
}

// changes gathers what the spans behind an entry say of each slot.
func changes(spans []span, applied uint64) map[cow.ID]*change {
	all := make(map[cow.ID]*change)
	for _, s := range spans {
		if s.first <= applied {
			continue
		}
		for i := range s.groups {
			g := &s.groups[i]
			c := all[g.Slot]
			if c == nil {
				c = &change{record: cow.SlotRecord{Slot: g.Slot}}
				all[g.Slot] = c
			}
			switch g.Op {
			case cow.OpCreate:
				*c = change{record: cow.SlotRecord{Slot: g.Slot, Token: g.Token, Owner: g.Owner}, created: true}
			case cow.OpRemove:
				*c = change{record: cow.SlotRecord{Slot: g.Slot}, gone: true}
			case cow.OpAppend, cow.OpTrim:
				c.record.Version, c.record.First, c.record.Count, c.record.Bytes, c.hasCounts = g.Count, g.Oldest, g.Count, g.Bytes, true
			case cow.OpTouch:
				c.record.PulledAt, c.record.StreamedAt, c.hasTouched = g.PulledAt, g.StreamedAt, true
			}
		}
	}
	return all
}

// Slots implements cow.Journal.
func (r *reads) Slots(yield func(cow.SlotRecord) error) error {
	spans, done := r.backlog.spans(nil)
	defer done()
	v, err := r.store.View()
	if err != nil {
		return err
	}
	defer v.Close()
	all := changes(spans, v.Applied())
	err = v.Slots(func(rec cow.SlotRecord) error {
		c := all[rec.Slot]
		if c == nil {
			return yield(rec)
		}
		c.seen = true
		if c.gone {
			return nil
		}
		if c.created {
			return yield(c.record)
		}
		if c.hasCounts {
			rec.Version, rec.First, rec.Count, rec.Bytes = c.record.Version, c.record.First, c.record.Count, c.record.Bytes
		}
		if c.hasTouched {
			rec.PulledAt, rec.StreamedAt = c.record.PulledAt, c.record.StreamedAt
		}
		return yield(rec)
	})
	if err != nil {
		return err
	}
	for slot, c := range all {
		switch {
		case c.seen || c.gone:
		case !c.created:
			return fmt.Errorf("%w: the log writes to slot %s, the store does not have it", ErrCorrupt, slot)
		default:
			if err := yield(c.record); err != nil {
				return err
			}
		}
	}
	return nil
}

// Totals implements cow.Journal: those of all durable entries, and what Count has
// added.
func (r *reads) Totals() cow.Totals {
	b := &r.backlog
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.totals.Add(b.counted)
}
