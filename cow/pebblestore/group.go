package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

// The value of an event key holds one event, or several that follow each other. Few
// large keys cost less than many small ones: in the memtable, in tables and in each
// compaction.
//
//	one event:      uvarint IDOff, JSON
//	several events: groupMark, then for each: uvarint IDOff, uvarint length of JSON, JSON
//
// Format 1 knew the first form alone.
const (
	// groupMark can't begin a value of one event: an id never stands at offset 1.
	groupMark = 1
	// groupBytes is about how many bytes of events one value holds. A larger
	// event has a value of its own. A load that begins behind the first event of a
	// group reads what stands before, so groups should not be large.
	groupBytes = 64 << 10
)

// groupLen returns how many of the events, of which there is at least one, go into
// one value, and how long that is.
func groupLen(events []event.Event) (n, size int) {
	e := &events[0]
	single := uvarintLen(uint64(e.IDOff)) + len(e.JSON)
	size = 1 + single + uvarintLen(uint64(len(e.JSON)))
	for n = 1; n < len(events); n++ {
		e := &events[n]
		more := uvarintLen(uint64(e.IDOff)) + uvarintLen(uint64(len(e.JSON))) + len(e.JSON)
		if size+more > groupBytes {
			break
		}
		size += more
	}
	if n == 1 {
		return 1, single
	}
	return n, size
}

// appendGroup appends the value for these events.
func appendGroup(v []byte, events []event.Event) []byte {
	if len(events) == 1 {
		return appendEvent(v, events[0])
	}
	v = append(v, groupMark)
	for i := range events {
		e := &events[i]
		v = binary.AppendUvarint(v, uint64(e.IDOff))
		v = binary.AppendUvarint(v, uint64(len(e.JSON)))
		v = append(v, e.JSON...)
	}
	return v
}

// appendEvent appends the value for one event.
func appendEvent(v []byte, e event.Event) []byte {
	v = binary.AppendUvarint(v, uint64(e.IDOff))
	return append(v, e.JSON...)
}

// groupReader reads the events of a value one after the other.
type groupReader struct {
	rest  []byte
	group bool
}

// readGroup returns a reader of value, which holds at least one event.
func readGroup(value []byte) (groupReader, error) {
	switch {
	case len(value) == 0:
		return groupReader{}, errDecode
	case value[0] != groupMark:
		return groupReader{rest: value}, nil
	case len(value) == 1:
		return groupReader{}, errDecode
	}
	return groupReader{rest: value[1:], group: true}, nil
}

// more reports whether there is another event.
func (r *groupReader) more() bool { return len(r.rest) > 0 }

// next returns the next event, which must be there. Its JSON is a part of the
// value. Behind an error nothing can be read.
func (r *groupReader) next() (event.Event, error) {
	off, n := binary.Uvarint(r.rest)
	if n <= 0 {
		return event.Event{}, errDecode
	}
	json := r.rest[n:]
	r.rest = nil
	if r.group {
		length, n := binary.Uvarint(json)
		if n <= 0 || length > uint64(len(json)-n) {
			return event.Event{}, errDecode
		}
		json, r.rest = json[n:n+int(length)], json[n+int(length):]
	}
	// The checksums of the store cover the bytes; this finds a value that was
	// written by something else. event.Event.ID relies on the quotes.
	if len(json) < 2 || len(json) > event.MaxBytes || json[0] != '{' || json[len(json)-1] != '}' {
		return event.Event{}, errDecode
	}
	if off != 0 && (off >= uint64(len(json)-2) || json[off] != '"') {
		return event.Event{}, errDecode
	}
	return event.Event{JSON: json, IDOff: uint32(off)}, nil
}

// A trim deletes the oldest events of a slot. Its last value may hold events that stay.
// These get a value of their own, so that the oldest event of a trimmed slot always
// begins a value, and no byte of what has left stays.
//
// Compactions give the space back: Pebble's own, for which a range delete counts by what
// it deletes, and those of package reclaim, where Pebble has no cause for one.

// formatTrimmed is the format of a store of which slots were trimmed. It is written with
// the first trim: until then older programs can open the store.
const formatTrimmed = 3

// trimStored has the batch trim a slot that earlier batches have stored, to a position
// that they hold or that stands behind all of it. It reports whether that took a range
// delete.
func (s *Store) trimStored(b *pebble.Batch, g *replay.Group) (long bool, err error) {
	first, err := s.keepRest(b, g.Slot, g.Oldest)
	if err != nil {
		return false, err
	}
	return deleteEvents(b, g.Slot, min(g.First, first), g.Oldest), nil
}

// keepRest gives the events from position to on that stand in a value with older ones a
// value of their own. It returns where the old value begins, or to.
func (s *Store) keepRest(b *pebble.Batch, slot cow.ID, to uint64) (began uint64, err error) {
	low, key := eventKey(slot, 0), eventKey(slot, to)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low[:], UpperBound: append(key[:], 0)})
	if err != nil {
		return 0, s.corrupt(err, "slot %s can't be read", slot)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.Last() {
		if err := it.Error(); err != nil {
			return 0, s.corrupt(err, "slot %s can't be read before position %d", slot, to)
		}
		return to, nil
	}
	if bytes.Equal(it.Key(), key[:]) {
		return to, nil
	}
	pos := binary.BigEndian.Uint64(it.Key()[eventKeyLen-8:])
	began = pos
	value, err := it.ValueAndErr()
	if err != nil {
		return 0, s.corrupt(err, "slot %s can't be read at position %d", slot, pos)
	}
	r, err := readGroup(value)
	var rest []event.Event
	for ; err == nil && r.more(); pos++ {
		var e event.Event
		if e, err = r.next(); err == nil && pos >= to {
			rest = append(rest, e)
		}
	}
	if err != nil {
		return 0, s.corrupt(err, "slot %s position %d", slot, pos)
	}
	addEvents(b, slot, to, rest)
	return began, nil
}

// noteTrims has the batch write the format that knows trims, if it has any.
func (s *Store) noteTrims(b *pebble.Batch, groups []replay.Group) {
	if s.trims {
		return
	}
	for i := range groups {
		if groups[i].Op != cow.OpTrim {
			continue
		}
		s.opts.Logger.Info("the store gets a new format, as events leave slots: older programs can't open it then", "folder", s.dir, "to", formatTrimmed)
		must(b.Set(metaFormat, binary.AppendUvarint(nil, formatTrimmed), nil))
		s.trims = true
		return
	}
}
