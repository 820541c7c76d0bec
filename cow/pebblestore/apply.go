package pebblestore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// pointDeletes is how many positions of a slot are deleted one by one. Most slots
// that are removed are small. Point deletes vanish in ordinary compactions, while
// range deletes slow reads down (see flush.go). They are blind: where several events
// share a value most of them delete nothing.
const pointDeletes = 64

// applying is what Apply reuses for all batches.
type applying struct {
	batch  *pebble.Batch
	order  []int // of the groups, sorted by slot
	slots  []slotChange
	events []event.Event // of one slot, in order
	value  []byte
	frees  bool // the batch deletes events
}

// slotChange is what a batch does to the record of a slot.
type slotChange struct {
	slot             cow.ID
	removed          bool // what the store held of it
	created          bool // token and owner are set
	counted          bool // count and bytes are set
	touched          bool // pulled and streamed are set
	token, owner     cow.TokenHash
	first            uint64 // position of the oldest event
	count, bytes     uint64
	pulled, streamed int64 // Unix seconds
}

// errReadOnly is the answer of a store that OpenReader opened.
var errReadOnly = errors.New("BUG: the store is open for reading")

// Apply implements replay.Store. It reads the store for trims alone (group.go). It waits
// where the memtables are full and the disk is slow or full.
//
// All events that a batch has for a slot become one value, or some (see group.go),
// and what it does to the slot's record is written once.
func (s *Store) Apply(b *replay.Batch) (err error) {
	switch {
	case s.readOnly:
		return errReadOnly
	case s.dead.Load():
		return fmt.Errorf("data folder %q: the store failed before: %w", s.dir, *s.lastError.Load())
	}
	pb := s.applying.batch
	pb.Reset()
	ranges, err := s.addGroups(pb, b.Groups)
	if err != nil {
		return err
	}
	s.noteTrims(pb, b.Groups)
	s.addRecords(pb, b.Records)
	s.applying.value = appendApplied(s.applying.value[:0], b.Seq, b.Totals)
	must(pb.Set(metaApplied, s.applying.value, nil))
	if b.Shared {
		addMember(pb, b)
	}
	size := pb.Len()
	if err := s.applyBatch(pb); err != nil {
		return fmt.Errorf("data folder %q: writing to the store failed: %w", s.dir, err)
	}
	s.applied.Store(b.Seq)
	s.batches.Add(1)
	s.batchBytes.Add(uint64(size))
	s.flushRanges(ranges)
	if s.applying.frees {
		s.reclaim.Deleted()
	}
	return nil
}

func (s *Store) applyBatch(b *pebble.Batch) (err error) {
	defer notPanic(&err)
	return s.db.Apply(b, pebble.NoSync)
}

func (s *Store) addRecords(b *pebble.Batch, records []replay.Record) {
	for i := range records {
		r := &records[i]
		if r.Version == 0 {
			op := b.DeleteDeferred(1 + len(r.Key))
			putRecordKey(op.Key, r.Key)
			must(op.Finish())
			continue
		}
		op := b.SetDeferred(1+len(r.Key), 8+len(r.Value))
		putRecordKey(op.Key, r.Key)
		binary.BigEndian.PutUint64(op.Value, r.Version)
		copy(op.Value[8:], r.Value)
		must(op.Finish())
	}
}

// addGroups returns how many range deletes it added.
//
// A memtable is a skip list that looks for the place of a key from the place of the
// last one. That is near if all events of the batch come in order, and all records
// of slots behind them.
func (s *Store) addGroups(b *pebble.Batch, groups []replay.Group) (ranges uint64, err error) {
	a := &s.applying
	a.order, a.slots, a.frees = a.order[:0], a.slots[:0], false
	for i := range groups {
		a.order = append(a.order, i)
	}
	slices.SortFunc(a.order, func(i, j int) int {
		return cmp.Or(bytes.Compare(groups[i].Slot[:], groups[j].Slot[:]), i-j)
	})
	for at := 0; at < len(a.order); {
		end := at + 1
		for end < len(a.order) && groups[a.order[end]].Slot == groups[a.order[at]].Slot {
			end++
		}
		n, err := s.addSlot(b, groups, a.order[at:end])
		if err != nil {
			return 0, err
		}
		ranges += n
		at = end
	}
	for i := range a.slots {
		addRecord(b, &a.slots[i])
	}
	return ranges, nil
}

// addSlot adds the events of one slot, whose groups stand in order, and notes what
// becomes of its record.
func (s *Store) addSlot(b *pebble.Batch, groups []replay.Group, order []int) (ranges uint64, err error) {
	c := slotChange{slot: groups[order[0]].Slot}
	events := s.applying.events[:0]
	defer func() {
		clear(events)
		s.applying.events = events[:0]
	}()
	var first uint64 // position of events[0]
	for _, i := range order {
		g := &groups[i]
		switch g.Op {
		case cow.OpAppend:
			if len(events) == 0 {
				first = g.First
			}
			if n := uint64(len(g.Events)); n == 0 || g.First != first+uint64(len(events)) || g.Count != g.First+n {
				return 0, fmt.Errorf("BUG: slot %s: %d events at position %d make %d, behind %d events at position %d", g.Slot, n, g.First, g.Count, len(events), first)
			}
			events = append(events, g.Events...)
			c.counted, c.first, c.count, c.bytes = true, g.Oldest, g.Count, g.Bytes
		case cow.OpTrim:
			s.applying.frees = true
			// What earlier batches have stored ends where the events of this one begin.
			if len(events) > 0 && g.Oldest > first {
				if deleteEvents(b, g.Slot, min(g.First, first), first) {
					ranges++
				}
				n := int(g.Oldest - first)
				clear(events[:n])
				events, first = events[n:], g.Oldest
			} else if !c.created {
				long, err := s.trimStored(b, g)
				if err != nil {
					return 0, err
				}
				if long {
					ranges++
				}
			}
			c.counted, c.first, c.count, c.bytes = true, g.Oldest, g.Count, g.Bytes
		case cow.OpCreate:
			c.created, c.token, c.owner, c.counted, c.first, c.count, c.bytes = true, g.Token, g.Owner, true, 0, 0, 0
		case cow.OpRemove:
			stored := g.Count // by earlier batches
			s.applying.frees = s.applying.frees || stored > 0
			if len(events) > 0 {
				stored = first
			}
			if deleteEvents(b, g.Slot, 0, stored) {
				ranges++
			}
			clear(events)
			events = events[:0]
			c = slotChange{slot: g.Slot, removed: c.removed || !c.created}
		case cow.OpTouch:
			c.touched, c.pulled, c.streamed = true, g.PulledAt, g.StreamedAt
		default:
			return 0, fmt.Errorf("BUG: unknown operation %d", g.Op)
		}
	}
	addEvents(b, c.slot, first, events)
	s.applying.slots = append(s.applying.slots, c)
	return ranges, nil
}

func addEvents(b *pebble.Batch, slot cow.ID, first uint64, events []event.Event) {
	for len(events) > 0 {
		n, size := groupLen(events)
		op := b.SetDeferred(eventKeyLen, size)
		putEventKey(op.Key, slot, first)
		appendGroup(op.Value[:0], events[:n])
		must(op.Finish())
		first += uint64(n)
		events = events[n:]
	}
}

// deleteEvents deletes the values of a slot that begin at positions from up to below to.
// It reports whether that took a range delete.
func deleteEvents(b *pebble.Batch, slot cow.ID, from, to uint64) bool {
	if to-from <= pointDeletes {
		for pos := from; pos < to; pos++ {
			op := b.DeleteDeferred(eventKeyLen)
			putEventKey(op.Key, slot, pos)
			must(op.Finish())
		}
		return false
	}
	start, end := eventKey(slot, from), eventKey(slot, to)
	must(b.DeleteRange(start[:], end[:], nil))
	return true
}

// addRecord adds what becomes of a slot's record, in the order of its keys.
func addRecord(b *pebble.Batch, c *slotChange) {
	var v [2 * len(cow.TokenHash{})]byte // the longest part
	part := func(p byte, set bool, value []byte) {
		k := slotKey(c.slot, p)
		switch {
		case set:
			must(b.Set(k[:], value, nil))
		case c.removed:
			must(b.Delete(k[:], nil))
		}
	}
	part(partCounts, c.counted, appendCounts(v[:0], c.first, c.count, c.bytes))
	part(partPulled, c.touched, appendPulled(v[:0], c.pulled, c.streamed))
	part(partToken, c.created, appendTokens(v[:0], c.token, c.owner))
}

// must checks an error of building a batch. Only an indexed batch returns one.
func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}
