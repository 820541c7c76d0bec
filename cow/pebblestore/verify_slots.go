package pebblestore

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/replay"
)

// slots walks over the records of slots and over the events side by side, both in
// the order of the slots.
func (v *verifier) slots() error {
	records, events := v.iterate(familySlot), v.iterate(familyEvent)
	if records != nil {
		defer records.Close()
	}
	if events != nil {
		defer events.Close()
	}
	if records == nil || events == nil {
		return nil
	}
	c := &eventCursor{v: v, it: events}
	c.ok = events.First()
	for ok := records.First(); ok; {
		if k := records.Key(); len(k) != slotKeyLen {
			v.fault(FaultKey, cow.ID{}, -1, "unknown key %x beside the records of slots", k)
			ok = records.Next()
			continue
		}
		var r slotParts
		r, ok = v.slotRecord(records)
		if err := c.orphans(&r.slot); err != nil {
			return err
		}
		if err := v.slot(c, r); err != nil {
			return err
		}
	}
	if err := records.Error(); err != nil {
		v.fault(FaultUnreadable, cow.ID{}, -1, "the records of slots can't be read: %v", nameFile(err))
		return nil // the owners of the events behind it are unknown
	}
	return c.orphans(nil)
}

// slotParts is what the record of a slot holds, as far as it decodes.
type slotParts struct {
	slot   cow.ID
	counts bool // the counts are known
	first  uint64
	count  uint64
	bytes  uint64
}

// slotRecord reads the record at which it stands, and moves it to the next one.
func (v *verifier) slotRecord(it *pebble.Iterator) (r slotParts, ok bool) {
	r.slot = cow.ID(it.Key()[1 : slotKeyLen-1])
	seen := make(map[byte]bool)
	for ok = true; ok && len(it.Key()) == slotKeyLen && cow.ID(it.Key()[1:slotKeyLen-1]) == r.slot; ok = it.Next() {
		part := it.Key()[slotKeyLen-1]
		seen[part] = true
		value, err := it.ValueAndErr()
		if err == nil {
			switch part {
			case partCounts:
				r.first, r.count, r.bytes, err = decodeCounts(value)
				r.counts = err == nil
			case partPulled:
				_, _, err = decodePulled(value)
			case partToken:
				_, _, err = decodeTokens(value)
			default:
				v.fault(FaultKey, r.slot, -1, "unknown part %q of the slot's record", part)
			}
		}
		if err != nil {
			v.fault(FaultRecord, r.slot, -1, "part %q of the slot's record: %v", part, nameFile(err))
		}
	}
	if it.Error() == nil {
		for _, part := range [...]byte{partCounts, partToken} {
			if !seen[part] {
				v.fault(FaultRecord, r.slot, -1, "part %q of the slot's record is missing", part)
			}
		}
	}
	if r.counts && !replay.Plausible(cow.SlotRecord{First: r.first, Count: r.count, Bytes: r.bytes}) {
		v.fault(FaultRecord, r.slot, -1, "the slot's record says %d bytes of events at positions %d to %d", r.bytes, r.first, r.count)
	}
	return r, ok
}

// eventCursor stands at the key of an event, behind the last one, or where it can't
// read on.
type eventCursor struct {
	v  *verifier
	it *pebble.Iterator
	ok bool
}

// event returns the slot and the position of the next event. It skips keys that are
// not events.
func (c *eventCursor) event() (slot cow.ID, pos uint64, ok bool) {
	for ; c.ok; c.ok = c.it.Next() {
		if k := c.it.Key(); len(k) == eventKeyLen {
			return cow.ID(k[1 : eventKeyLen-8]), binary.BigEndian.Uint64(k[eventKeyLen-8:]), true
		}
		c.v.fault(FaultKey, cow.ID{}, -1, "unknown key %x among the events", c.it.Key())
	}
	return cow.ID{}, 0, false
}

// orphans reports the slots before next, which have events but no record. next is
// nil behind the last record.
func (c *eventCursor) orphans(next *cow.ID) error {
	var of cow.ID
	var n uint64
	began := c.ok
	tell := func() {
		if n > 0 {
			c.v.fault(FaultOrphan, of, -1, "%d events of a slot that has no record", n)
		}
		n = 0
	}
	for {
		slot, _, ok := c.event()
		if !ok || next != nil && bytes.Compare(slot[:], next[:]) >= 0 {
			break
		}
		if n == 0 || slot != of {
			tell()
			of = slot
		}
		n++
		if n%1024 == 0 {
			if err := c.v.ctx.Err(); err != nil {
				return err
			}
		}
		c.ok = c.it.Next()
	}
	tell()
	if err := c.it.Error(); err != nil && began {
		c.v.fault(FaultUnreadable, cow.ID{}, -1, "events behind those of slot %s, which has no record, can't be read: %v", of, nameFile(err))
	}
	return nil
}

// slot checks the events of a slot and leaves the cursor behind them.
func (v *verifier) slot(c *eventCursor, r slotParts) error {
	v.report.Slots++
	v.ids.reset()
	if c.it.Error() != nil { // behind the slot before
		first := eventKey(r.slot, 0)
		c.ok = c.it.SeekGE(first[:])
	}
	next, sum := r.first, uint64(0)
	var failed error
	whole := true // no fault so far that a wrong sum would only repeat
	for {
		slot, pos, ok := c.event()
		if !ok || slot != r.slot {
			break
		}
		value, err := c.it.ValueAndErr()
		if err != nil {
			failed = err
			break
		}
		switch {
		case pos > next:
			v.fault(FaultMissing, r.slot, int64(next), "there is no event here, the next one stands at position %d", pos)
			whole = false
		case pos < next:
			v.fault(FaultRepeated, r.slot, int64(pos), "there are two events here")
			whole = false
		}
		n, size, ok := v.value(r.slot, pos, value)
		whole = whole && ok
		next = max(next, pos+n)
		sum += size
		v.report.Events += n
		v.report.Bytes += size
		if err := v.progress(); err != nil {
			return err
		}
		c.ok = c.it.Next()
	}
	if failed == nil {
		failed = c.it.Error()
	}
	switch {
	case failed != nil:
		if r.counts && r.count == next { // the slot is whole: the fault lies behind it
			v.fault(FaultUnreadable, cow.ID{}, -1, "events behind those of slot %s can't be read: %v", r.slot, nameFile(failed))
		} else {
			v.fault(FaultUnreadable, r.slot, int64(next), "events from here on can't be read: %v", nameFile(failed))
		}
		end := eventsEnd(r.slot)
		c.ok = c.it.SeekGE(end[:])
	case r.counts && r.count != next:
		v.fault(FaultCount, r.slot, -1, "the record says %d events, the last one stands at position %d", r.count, int64(next)-1)
	case r.counts && whole && r.bytes != sum:
		v.fault(FaultBytes, r.slot, -1, "the record says %d bytes of events, there are %d", r.bytes, sum)
	}
	v.duplicates(r.slot)
	return v.progress()
}
