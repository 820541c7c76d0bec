package pebblelog

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

// Load implements cow.Journal. It yields only what is durable under the sync mode:
// of a slot in a running Commit it yields what was there before. Its error wraps
// ErrCorrupt where the store can't be read or a slot's events don't fit its record.
// It reuses the Append and its bytes for all calls of yield.
//
// The record and the events come from one iterator. So they are of one moment,
// whatever is committed meanwhile.
func (l *Log) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	defer l.enterLoad()()
	first, end := slotKey(slot, partCounts), eventsEnd(slot)
	start := eventKey(slot, from)
	l.mu.RLock()
	was, running := l.pending[slot]
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: start[:], UpperBound: []byte{familySlot + 1}})
	l.mu.RUnlock()
	if err != nil {
		return l.corrupt(err, "slot %s can't be read", slot)
	}
	defer it.Close()
	if running && !was.exists {
		return cow.ErrNoSlot
	}
	if !it.SeekGE(first[:]) || !bytes.Equal(it.Key(), first[:]) {
		if err := it.Error(); err != nil {
			return l.corrupt(err, "the record of slot %s can't be read", slot)
		}
		return cow.ErrNoSlot // also for a removal that is not durable yet
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return l.corrupt(err, "the record of slot %s can't be read", slot)
	}
	count, size, err := decodePair(v)
	if err != nil {
		return l.corrupt(err, "the record of slot %s", slot)
	}
	limit := count
	if running {
		limit = min(limit, was.count)
	}
	it.SetBounds(start[:], end[:])
	sum, err := l.loadEvents(it, slot, from, limit, yield)
	if err != nil {
		return err
	}
	if limit < count {
		return nil
	}
	if from <= count && it.Valid() {
		return l.corrupt(nil, "slot %s has an event behind position %d, where its record ends", slot, count)
	}
	if err := it.Error(); err != nil {
		return l.corrupt(err, "slot %s can't be read behind position %d", slot, count)
	}
	if from == 0 && sum != size {
		return l.corrupt(nil, "slot %s has %d bytes of events, its record says %d", slot, sum, size)
	}
	return nil
}

// loadEvents yields the events of positions [from, limit) and leaves the iterator
// behind them. It returns how many bytes of JSON they have.
func (l *Log) loadEvents(it *pebble.Iterator, slot cow.ID, from, limit uint64, yield func(*cow.Append) error) (sum uint64, err error) {
	buf := loadBuffers.Get().(*loadBuffer)
	defer loadBuffers.Put(buf)
	buf.bytes = buf.bytes[:0] // a load that failed leaves what it had read
	n := 0
	flush := func(next uint64) error {
		if n == 0 {
			return nil
		}
		a := &buf.append
		*a = cow.Append{Op: cow.OpAppend, Slot: slot, First: next - uint64(n), Version: next, Events: buf.events[:n]}
		off := 0
		for i := range n {
			// The JSON is set here, not when it was copied: the buffer may have
			// moved since. Its capacity ends with it, so that an append in
			// yield can't write into the next event.
			buf.events[i].JSON = buf.bytes[off:buf.ends[i]:buf.ends[i]]
			off = buf.ends[i]
		}
		n, buf.bytes = 0, buf.bytes[:0]
		return yield(a)
	}
	pos := from
	for ok := it.First(); pos < limit; ok = it.Next() {
		if !ok {
			if err := it.Error(); err != nil {
				return 0, l.corrupt(err, "slot %s can't be read at position %d", slot, pos)
			}
			return 0, l.corrupt(nil, "slot %s ends before position %d, its record says %d events", slot, pos, limit)
		}
		k := it.Key()
		if len(k) != eventKeyLen || binary.BigEndian.Uint64(k[eventKeyLen-8:]) != pos {
			return 0, l.corrupt(nil, "slot %s has no event at position %d but one behind it", slot, pos)
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, l.corrupt(err, "slot %s can't be read at position %d", slot, pos)
		}
		e, err := decodeEvent(v)
		if err != nil {
			return 0, l.corrupt(err, "slot %s position %d", slot, pos)
		}
		if n == loadEvents || len(buf.bytes)+len(e.JSON) > loadBytes {
			if err := flush(pos); err != nil {
				return 0, err
			}
		}
		sum += uint64(len(e.JSON))
		buf.bytes = append(buf.bytes, e.JSON...)
		buf.ends[n], buf.events[n].IDOff = len(buf.bytes), e.IDOff
		n++
		pos++
	}
	return sum, flush(pos)
}

// Slots implements cow.Journal with one scan over the records of all slots. It reads
// no event. It is meant for start-up: unlike Load it may show a batch that is not
// durable yet.
func (l *Log) Slots(yield func(cow.SlotRecord) error) error {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{familySlot}, UpperBound: []byte{familySlot + 1}})
	if err != nil {
		return l.corrupt(err, "the slots can't be read")
	}
	defer it.Close()
	const counts, token = 1, 2
	var r cow.SlotRecord
	var any bool
	var parts int
	emit := func() error {
		if !any {
			return nil
		}
		if parts != counts|token {
			return l.corrupt(nil, "the record of slot %s is incomplete", r.Slot)
		}
		return yield(r)
	}
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != slotKeyLen {
			return l.corrupt(nil, "unknown key %x", k)
		}
		slot := cow.ID(k[1 : slotKeyLen-1])
		if !any || slot != r.Slot {
			if err := emit(); err != nil {
				return err
			}
			r, any, parts = cow.SlotRecord{Slot: slot}, true, 0
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return l.corrupt(err, "the record of slot %s can't be read", slot)
		}
		switch k[slotKeyLen-1] {
		case partCounts:
			r.Count, r.Bytes, err = decodePair(v)
			r.Version = r.Count
			parts |= counts
		case partPulled:
			r.PulledAt, r.StreamedAt, err = decodePulled(v)
		case partToken:
			if len(v) != len(r.Token) {
				err = errDecode
			}
			copy(r.Token[:], v)
			parts |= token
		default:
			return l.corrupt(nil, "unknown key %x", k)
		}
		if err != nil {
			return l.corrupt(err, "the record of slot %s", slot)
		}
	}
	if err := it.Error(); err != nil {
		return l.corrupt(err, "the slots can't be read")
	}
	return emit()
}
