package cow

import (
	"errors"
	"fmt"
)

var errEnough = errors.New("BUG: enough read")

// ReadLines appends the events of a slot from position from up to below to, each
// with a line feed behind it, until dst would be longer than most; at least one.
// It returns the position behind the last. It reads what the journal has and
// leaves memory as it is: reading everything would drive out what is in use.
// Errors: ErrNoSlot, ErrBusy, ErrClosed and those of the journal; what was
// appended is good.
func (s *Store) ReadLines(dst []byte, slot *Slot, from, to uint64, most int) (out []byte, next uint64, err error) {
	if from >= to {
		return dst, from, nil
	}
	leave, err := s.loads.enter()
	if err != nil {
		return dst, from, err
	}
	defer leave()
	out, next = dst, from
	err = s.loads.read(slot, from, func(a *Append) error {
		for i, ev := range a.Events {
			switch pos := a.First + uint64(i); {
			case pos < from:
				continue // a journal may begin with the group that holds it
			case pos != next:
				return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, pos, next)
			case pos == to, next > from && len(out)+len(ev.JSON)+1 > most:
				return errEnough
			}
			out = append(append(out, ev.JSON...), '\n')
			next++
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return out, next, err
}
