package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"cowrelay/cow"
)

// source is where events come from.
type source interface {
	// slots returns the wanted slots, or all if none is named, ordered by id. Each
	// that is wanted must be there.
	slots(ctx context.Context, wanted []cow.ID) ([]exportSlot, error)
	// events yields the events of the slot with their positions in order, up to its end.
	// Those that leave meanwhile are passed over. The bytes are good until yield returns. The error is errRemoved if the slot is there no
	// more, and wraps errSlot if this slot alone can't be read.
	events(ctx context.Context, s exportSlot, yield func(pos uint64, event []byte) error) error
	// Lost says what the source lacks of what was stored, or is nil.
	Lost() error
	Close() error
}

// exportSlot is a slot, how many events it had when the export began, and the position of
// the first of these. The list of all slots is kept in memory, at 32 bytes each.
type exportSlot struct {
	id    cow.ID
	first uint64
	count uint64
}

// end is the position behind the last event.
func (s exportSlot) end() uint64 { return s.first + s.count }

// Errors that concern one slot: the export goes on behind them.
var (
	errRemoved = errors.New("the slot was removed meanwhile")
	errSlot    = errors.New("the slot can't be read")
)

// byID is the order of the list.
func byID(a, b exportSlot) int { return bytes.Compare(a.id[:], b.id[:]) }

// missing returns an error for each wanted slot that is not in the list, which is
// ordered by id.
func missing(list []exportSlot, wanted []cow.ID) error {
	var errs []error
	for _, id := range wanted {
		if _, ok := slices.BinarySearchFunc(list, id, func(s exportSlot, id cow.ID) int { return bytes.Compare(s.id[:], id[:]) }); !ok {
			errs = append(errs, fmt.Errorf("there is no slot %s", id))
		}
	}
	return errors.Join(errs...)
}

// slotCount is a slot as a relay describes it.
type slotCount struct {
	ID     string  `json:"slot_id"`
	Events *uint64 `json:"events"`
	First  uint64  `json:"first"`
}

// slot checks what was read. err is that of the decoding.
func (v *slotCount) slot(err error) (exportSlot, error) {
	id, ok := cow.ParseID(v.ID)
	if err != nil || !ok || v.Events == nil {
		return exportSlot{}, errors.New("the reply is not that of a relay's admin listener")
	}
	return exportSlot{id, v.First, *v.Events}, nil
}
