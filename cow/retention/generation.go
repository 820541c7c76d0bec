package retention

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow"
)

// A generation is stored as records of up to partSlots slots each:
//
//	retention/<Unix seconds, 12 digits>/<part, 4 digits>
//
// The value is, for each slot, its id (16 bytes) and a uvarint: the position behind its
// newest event then.
const (
	prefix    = "retention/"
	partSlots = 8192
)

// part is a record of a generation.
type part struct {
	key  string
	at   time.Time // all that it names had come by then
	done [rules]bool
}

// entry is what a generation says of a slot.
type entry struct {
	slot cow.ID
	end  uint64
}

func keyOf(prefix string, at time.Time, n int) string {
	return fmt.Sprintf("%s%012d/%04d", prefix, at.Unix(), n)
}

func parsePart(prefix, key string) (p part, ok bool) {
	text, number, ok := strings.Cut(strings.TrimPrefix(key, prefix), "/")
	at, err := strconv.ParseInt(text, 10, 64)
	_, err2 := strconv.Atoi(number)
	return part{key: key, at: time.Unix(at, 0)}, ok && err == nil && err2 == nil
}

func appendEntry(b []byte, e entry) []byte {
	return binary.AppendUvarint(append(b, e.slot[:]...), e.end)
}

var errPart = errors.New("retention: a generation can't be read")

// entries yields what a record names.
func entries(value []byte, yield func(entry)) error {
	for len(value) > 0 {
		var e entry
		if len(value) < len(e.slot) {
			return errPart
		}
		n := copy(e.slot[:], value)
		end, size := binary.Uvarint(value[n:])
		if size <= 0 {
			return errPart
		}
		e.end, value = end, value[n+size:]
		yield(e)
	}
	return nil
}

// note remembers what a generation knows of a slot, so that only what changes later is
// noted again. 0 stands for nothing.
func (s *Sweeper) note(e entry) {
	if slot := s.store.Slot(e.slot); slot != nil {
		slot.Note(uint32(e.end + 1))
	}
}

// refresh finds the generations that are stored, those of other relays too.
func (s *Sweeper) refresh() error {
	known := make(map[string]part, len(s.parts))
	for _, p := range s.parts {
		known[p.key] = p
	}
	s.parts = s.parts[:0]
	return s.records.List(prefix, func(key string, value []byte, _ uint64) error {
		p, ok := known[key]
		if !ok {
			if p, ok = parsePart(prefix, key); !ok {
				return nil
			}
			if err := entries(value, s.note); err != nil {
				s.log.Error("a list of when events came can't be read: what it names stays longer", "record", key)
			}
		}
		s.parts = append(s.parts, p)
		return nil
	})
}

// write makes a generation of the slots that have changed since the last one that names
// them.
func (s *Sweeper) write(now time.Time) error {
	// Behind now, so that all it names had come by then; and the same for all relays.
	at := now.Truncate(s.grain).Add(s.grain)
	var value []byte
	n, number := 0, 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		p, err := s.put(prefix, at, &number, value)
		if err == nil {
			err = entries(value, s.note)
			s.parts, s.own = append(s.parts, p), append(s.own, p.key)
			value, n = value[:0], 0
		}
		return err
	}
	for slot := range s.store.All {
		_, end := slot.Positions()
		if !s.wants(slot, end) {
			continue
		}
		value, n = appendEntry(value, entry{slot.ID(), end}), n+1
		if n == partSlots {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// put stores a part of a generation under the first number from *number on that is free.
func (s *Sweeper) put(prefix string, at time.Time, number *int, value []byte) (part, error) {
	done, err := s.store.Gate()
	if err != nil {
		return part{}, err
	}
	defer done()
	for ; ; *number++ { // those of this time that are there already keep their names
		p := part{key: keyOf(prefix, at, *number), at: at}
		if _, err := s.records.Put(p.key, value, 0, cow.Totals{}); !errors.Is(err, cow.ErrConflict) {
			return p, err
		}
	}
}

// wants says whether a slot is to be named by the next generation.
func (s *Sweeper) wants(slot *cow.Slot, end uint64) bool {
	noted := uint64(slot.Noted())
	if noted == end+1 {
		return false
	}
	switch {
	case s.IdleSlot > 0:
		return true
	case end == 0:
		return s.UnusedSlot > 0 && slot.ReadAt() == 0
	}
	return s.Event > 0
}

// forgetOwn deletes the generations of this life: they bear a time that was wrong.
func (s *Sweeper) forgetOwn() error {
	err := s.forget(s.own)
	if err == nil {
		s.own = nil
	}
	return err
}

// forgetFuture deletes the generations of a time that is still to come: the clock was
// ahead, and was set back.
func (s *Sweeper) forgetFuture(now time.Time) error {
	var keys []string
	for _, p := range s.parts {
		if p.at.Sub(now) > 2*s.grain {
			keys = append(keys, p.key)
		}
	}
	return s.forget(keys)
}

// forget deletes generations. What they name is noted again.
func (s *Sweeper) forget(keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	for _, key := range keys {
		if err := s.drop(key); err != nil {
			return err
		}
	}
	for slot := range s.store.All {
		slot.Note(0)
	}
	return s.refresh()
}

func (s *Sweeper) drop(key string) error {
	_, version, err := s.records.Value(key)
	if err == nil {
		err = s.records.Delete(key, version)
	}
	if errors.Is(err, cow.ErrNoRecord) || errors.Is(err, cow.ErrConflict) { // another relay did
		return nil
	}
	return err
}
