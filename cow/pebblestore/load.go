package pebblestore

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// A load yields its events in groups of at most this many events and about this
// many bytes.
const (
	loadEvents = 256
	loadBytes  = 256 << 10
)

// loadBuffer is what one Load reuses for all its groups.
type loadBuffer struct {
	bytes  []byte
	ends   [loadEvents]int
	events [loadEvents]event.Event
	append cow.Append
}

// Each running load holds one of these, about 0.5 MB.
var loadBuffers = sync.Pool{New: func() any {
	return &loadBuffer{bytes: make([]byte, 0, loadBytes+event.MaxBytes)}
}}

// loader reads the events of one slot.
type loader struct {
	s     *Store
	slot  cow.ID
	yield func(*cow.Append) error
	buf   *loadBuffer
	n     int    // events in buf
	next  uint64 // position behind them
	count uint64 // events in the slot
	sum   uint64 // bytes of JSON so far
}

// Load implements replay.View. Its error wraps ErrCorrupt where the store can't be
// read or a slot's events don't fit its record. It reuses the Append and its bytes
// for all calls of yield.
func (v *view) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	defer v.s.enterLoad()()
	s := v.s
	counts, first, end := slotKey(slot, partCounts), eventKey(slot, 0), eventsEnd(slot)
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: first[:], UpperBound: []byte{familySlot + 1}})
	if err != nil {
		return s.corrupt(err, "slot %s can't be read", slot)
	}
	defer it.Close()
	if !it.SeekGE(counts[:]) || !bytes.Equal(it.Key(), counts[:]) {
		if err := it.Error(); err != nil {
			return s.corrupt(err, "the record of slot %s can't be read", slot)
		}
		return cow.ErrNoSlot
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return s.corrupt(err, "the record of slot %s can't be read", slot)
	}
	oldest, count, size, err := decodeCounts(value)
	if err != nil {
		return s.corrupt(err, "the record of slot %s", slot)
	}
	if from > count {
		return nil
	}
	whole := from <= oldest
	if from < oldest {
		if err := yield(&cow.Append{Op: cow.OpTrim, Slot: slot, Version: oldest, First: oldest}); err != nil {
			return err
		}
		from = oldest
	}
	it.SetBounds(first[:], end[:])
	l := loader{s: s, slot: slot, yield: yield, buf: loadBuffers.Get().(*loadBuffer), next: from, count: count}
	defer loadBuffers.Put(l.buf)
	l.buf.bytes = l.buf.bytes[:0] // a load that failed leaves what it had read
	if err := l.load(it, from); err != nil {
		return err
	}
	if whole && l.sum != size {
		return s.corrupt(nil, "slot %s has %d bytes of events, its record says %d", slot, l.sum, size)
	}
	return nil
}

// load yields the events of positions [from, count), behind which there must be none.
func (l *loader) load(it *pebble.Iterator, from uint64) error {
	// The value with the event at from may begin before it.
	seek, key := it.SeekLT, eventKey(l.slot, from+1)
	if from == l.count {
		seek, key = it.SeekGE, eventKey(l.slot, from)
	}
	ok := seek(key[:])
	for first := true; ok && l.next < l.count; ok, first = it.Next(), false {
		k := it.Key()
		if len(k) != eventKeyLen {
			return l.s.corrupt(nil, "unknown key %x among the events of slot %s", k, l.slot)
		}
		pos := binary.BigEndian.Uint64(k[eventKeyLen-8:])
		switch {
		case first || pos == l.next:
		case pos < l.next:
			return l.s.corrupt(nil, "slot %s has two events at position %d", l.slot, pos)
		default:
			return l.missing()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return l.s.corrupt(err, "slot %s can't be read at position %d", l.slot, pos)
		}
		if err := l.value(value, pos, from); err != nil {
			return err
		}
		if l.next == from { // it ends before
			return l.missing()
		}
	}
	switch err := it.Error(); {
	case err != nil:
		return l.s.corrupt(err, "slot %s can't be read at position %d", l.slot, l.next)
	case l.next < l.count:
		return l.missing()
	case ok:
		return l.tooMany()
	}
	return l.flush()
}

func (l *loader) missing() error {
	return l.s.corrupt(nil, "slot %s has no event at position %d, its record says %d events", l.slot, l.next, l.count)
}

func (l *loader) tooMany() error {
	return l.s.corrupt(nil, "slot %s has an event at position %d, where its record ends", l.slot, l.count)
}

// value takes the events of a value that begins at position pos, from position from
// on.
func (l *loader) value(value []byte, pos, from uint64) error {
	r, err := readGroup(value)
	for ; err == nil && r.more(); pos++ {
		var e event.Event
		if e, err = r.next(); err != nil {
			break
		}
		if pos < from {
			continue
		}
		if err := l.add(e); err != nil {
			return err
		}
	}
	if err != nil {
		return l.s.corrupt(err, "slot %s position %d", l.slot, pos)
	}
	return nil
}

// add takes the event at position next.
func (l *loader) add(e event.Event) error {
	if l.next == l.count {
		return l.tooMany()
	}
	b := l.buf
	if l.n == loadEvents || len(b.bytes)+len(e.JSON) > loadBytes {
		if err := l.flush(); err != nil {
			return err
		}
	}
	l.sum += uint64(len(e.JSON))
	b.bytes = append(b.bytes, e.JSON...)
	b.ends[l.n], b.events[l.n].IDOff = len(b.bytes), e.IDOff
	l.n++
	l.next++
	return nil
}

// flush yields what is in the buffer.
func (l *loader) flush() error {
	if l.n == 0 {
		return nil
	}
	b := l.buf
	b.append = cow.Append{Op: cow.OpAppend, Slot: l.slot, First: l.next - uint64(l.n), Version: l.next, Events: b.events[:l.n]}
	off := 0
	for i := range l.n {
		// The JSON is set here, not when it was copied: the buffer may have moved
		// since. Its capacity ends with it, so that an append in yield can't write
		// into the next event.
		b.events[i].JSON = b.bytes[off:b.ends[i]:b.ends[i]]
		off = b.ends[i]
	}
	l.n, b.bytes = 0, b.bytes[:0]
	return l.yield(&b.append)
}
