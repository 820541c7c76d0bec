package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cowrelay/cow"
	"cowrelay/cow/engine"
)

// storeSource is the store of a stopped relay.
type storeSource struct{ *engine.Reader }

// openStoreSource opens the store in a folder, for reading only.
func openStoreSource(dir string) (source, error) {
	r, err := engine.OpenReader(dir, readerOptions())
	if errors.Is(err, engine.ErrInUse) {
		return nil, fmt.Errorf("%w: ask the running relay by --admin http://127.0.0.1:9770, or stop it first", err)
	}
	if err != nil {
		return nil, err
	}
	return storeSource{r}, nil
}

func (s storeSource) slots(ctx context.Context, wanted []cow.ID) (list []exportSlot, err error) {
	err = s.Slots(func(r cow.SlotRecord) error {
		if len(wanted) == 0 || slices.Contains(wanted, r.Slot) {
			list = append(list, exportSlot{r.Slot, r.First, r.Count - r.First})
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, byID)
	return list, missing(list, wanted)
}

func (s storeSource) events(_ context.Context, slot exportSlot, yield func(uint64, []byte) error) error {
	var stopped error
	err := s.Load(slot.id, 0, func(a *cow.Append) error {
		for i := range a.Events {
			if stopped = yield(a.First+uint64(i), a.Events[i].JSON); stopped != nil {
				return stopped
			}
		}
		return nil
	})
	if err != nil && stopped == nil {
		return fmt.Errorf("%w: %w", errSlot, err)
	}
	return err
}
