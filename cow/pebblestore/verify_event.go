package pebblestore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// door takes stored events through acceptance again.
type door struct{ room, out []byte }

// accept returns the event as it would be stored by a post or by an import.
func (d *door) accept(json []byte) (ev event.Event, err error) {
	ev, d.out, d.room, _, err = event.Readable(d.out[:0], json, d.room)
	return ev, err
}

// value checks the events of a value that begins at position pos. It returns how
// many it found and how many bytes of JSON they have. whole says that all of it
// decodes.
func (v *verifier) value(slot cow.ID, pos uint64, value []byte) (n, size uint64, whole bool) {
	r, err := readGroup(value)
	for err == nil && r.more() {
		var e event.Event
		if e, err = r.next(); err == nil {
			v.event(slot, pos+n, e)
			n++
			size += uint64(len(e.JSON))
		}
	}
	if err != nil {
		v.fault(FaultEvent, slot, int64((pos+n)&(1<<63-1)), "it does not decode")
		return n + 1, size, false
	}
	return n, size, true
}

// event checks one event and adds its id to those of the slot.
func (v *verifier) event(slot cow.ID, pos uint64, e event.Event) {
	if pos >= maxPositions {
		v.fault(FaultEvent, slot, int64(pos&(1<<63-1)), "no slot holds that many events")
		return
	}
	at := int64(pos)
	ev, err := v.door.accept(e.JSON)
	refused := new(event.Error)
	switch {
	case errors.As(err, &refused):
		v.fault(FaultEvent, slot, at, "the door refuses it: %s, at byte %d", refused.Reason, refused.Offset)
		return
	case !bytes.Equal(ev.JSON, e.JSON):
		v.fault(FaultEvent, slot, at, "it is not compact: %d bytes, %d without white space", len(e.JSON), len(ev.JSON))
	case ev.IDOff != e.IDOff:
		v.fault(FaultIndex, slot, at, "its event_id stands at byte %d, the index would look at byte %d (0: it has none)", ev.IDOff, e.IDOff)
	}
	if id, ok := ev.ID(nil); ok {
		v.ids.add(id, pos)
	}
}

// maxPositions is above the count of any slot: an event takes two bytes or more.
const maxPositions = 1 << idPosBits

const idPosBits = 26 // cow.MaxSlotBytes is 1<<26

// idSet finds ids that occur twice. An entry is a part of the hash of an id, and
// below it the position of the event. Sorted, entries with equal hashes stand side
// by side; then the ids themselves are read again and compared.
type idSet struct {
	seed    maphash.Seed
	entries []uint64
}

func (s *idSet) reset() {
	if s.entries == nil {
		s.seed = maphash.MakeSeed()
		s.entries = make([]uint64, 0, 1024)
	}
	s.entries = s.entries[:0]
}

func (s *idSet) add(id []byte, pos uint64) {
	s.entries = append(s.entries, maphash.Bytes(s.seed, id)>>idPosBits<<idPosBits|pos)
}

// groups yields the entries of each hash that occurs more than once, by position.
func (s *idSet) groups(yield func([]uint64)) {
	slices.Sort(s.entries)
	for rest := s.entries; len(rest) > 1; {
		n := 1
		for n < len(rest) && rest[n]>>idPosBits == rest[0]>>idPosBits {
			n++
		}
		if n > 1 {
			yield(rest[:n])
		}
		rest = rest[n:]
	}
}

// duplicates reports the ids that occur twice in the slot.
func (v *verifier) duplicates(slot cow.ID) {
	v.ids.groups(func(entries []uint64) {
		first := make(map[string]uint64)
		for _, e := range entries {
			pos := e & (maxPositions - 1)
			id, err := v.idAt(slot, pos)
			if err != nil {
				v.fault(FaultUnreadable, slot, int64(pos), "can't be read again: %v", nameFile(err))
				continue
			}
			if had, ok := first[id]; ok {
				v.fault(FaultDuplicate, slot, int64(pos), "its event_id %q is that of position %d", id, had)
			} else {
				first[id] = pos
			}
		}
	})
}

func (v *verifier) idAt(slot cow.ID, pos uint64) (string, error) {
	first, behind := eventKey(slot, 0), eventKey(slot, pos+1)
	it, err := v.view.snapshot.NewIter(&pebble.IterOptions{LowerBound: first[:], UpperBound: behind[:]})
	if err != nil {
		return "", err
	}
	defer it.Close()
	if !it.Last() {
		return "", cmp.Or(it.Error(), errDecode)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return "", err
	}
	r, err := readGroup(value)
	for at := binary.BigEndian.Uint64(it.Key()[eventKeyLen-8:]); err == nil && r.more(); at++ {
		var e event.Event
		if e, err = r.next(); err == nil && at == pos {
			ev, err := v.door.accept(e.JSON)
			if err != nil {
				return "", err
			}
			id, _ := ev.ID(nil)
			return string(id), nil
		}
	}
	return "", cmp.Or(err, errDecode)
}
