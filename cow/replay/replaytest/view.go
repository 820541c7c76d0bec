package replaytest

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
)

type view struct {
	s      *Store
	state  *state
	closed bool
}

// View implements replay.Store.
func (s *Store) View() (replay.View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("BUG: view of a closed store")
	}
	s.views++
	return &view{s: s, state: s.now}, nil
}

func (v *view) Close() error {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if v.closed {
		return errors.New("BUG: view is closed twice")
	}
	v.closed = true
	v.s.views--
	return nil
}

func (v *view) Applied() uint64             { return v.state.applied }
func (v *view) Totals() (cow.Totals, error) { return v.state.totals, nil }

// Load yields a few events at a time and overwrites them then: whoever kept them sees
// that.
func (v *view) Load(id cow.ID, from uint64, yield func(*cow.Append) error) error {
	s, ok := v.state.slots[id]
	if !ok {
		return cow.ErrNoSlot
	}
	if from < s.First {
		if err := yield(&cow.Append{Op: cow.OpTrim, Slot: id, First: s.First, Version: s.First}); err != nil {
			return err
		}
		from = s.First
	}
	const most = 7
	for from < s.Count {
		n := min(most, s.Count-from)
		a := cow.Append{Op: cow.OpAppend, Slot: id, First: from, Version: from + n}
		for _, e := range s.events[from-s.First : from-s.First+n] {
			a.Events = append(a.Events, event.Event{JSON: bytes.Clone(e.JSON), IDOff: e.IDOff})
		}
		err := yield(&a)
		for _, e := range a.Events {
			clear(e.JSON)
		}
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}

func (v *view) Slots(yield func(cow.SlotRecord) error) error {
	list := slices.Collect(maps.Values(v.state.slots))
	slices.SortFunc(list, func(a, b slot) int { return bytes.Compare(a.Slot[:], b.Slot[:]) })
	for _, s := range list {
		if err := yield(s.SlotRecord); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) List(prefix string, yield func(key string, value []byte, version uint64) error) error {
	for _, key := range slices.Sorted(maps.Keys(v.state.records)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		r := v.state.records[key]
		if err := yield(key, []byte(r.value), r.version); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) Versions(yield func(key []byte, version uint64) error) error {
	for key, r := range v.state.records {
		b := []byte(key)
		if err := yield(b, r.version); err != nil {
			return err
		}
		clear(b)
	}
	return nil
}

func (v *view) Member() (replay.Member, error) {
	m := v.state.member
	for _, p := range v.state.producers {
		m.Producers = append(m.Producers, p)
	}
	return m, nil
}
