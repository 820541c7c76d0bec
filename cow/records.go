package cow

import (
	"errors"
	"fmt"
)

// Two things stand beside a slot as records of the journal: the health record that
// its responder sets, and the operator's block. Both are written at once, not by the
// commit loop, and the queue's gate holds them to the same rules as posts.

// Health returns the responder health record of a slot, or nil.
func (s *Store) Health(slot *Slot) ([]byte, error) { return s.value(healthKey(slot)) }

// SetHealth stores the responder health record of a slot, durably. Errors:
// ErrNoSpace, ErrBusy, ErrClosed and those of the records.
func (s *Store) SetHealth(slot *Slot, record []byte) error {
	done, err := s.Gate()
	if err != nil {
		return err
	}
	defer done()
	for {
		_, version, err := s.records.Value(healthKey(slot))
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
		if _, err = s.records.Put(healthKey(slot), record, version, Totals{}); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func healthKey(slot *Slot) string { return "health/" + slot.id.String() }

// value returns a record, or nil if there is none.
func (s *Store) value(key string) ([]byte, error) {
	v, _, err := s.records.Value(key)
	if errors.Is(err, ErrNoRecord) {
		return nil, nil
	}
	return v, err
}

// dropRecord deletes a record if it is there.
func (s *Store) dropRecord(key string) error {
	_, version, err := s.records.Value(key)
	if errors.Is(err, ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.records.Delete(key, version)
}

// A blocked slot keeps its events and serves nobody. The block is a record beside the
// slot, so it outlives a restart. In memory it is one flag, which every request to
// the slot reads.

// Blocked says whether the slot is blocked.
func (s *Slot) Blocked() bool { return s.blocked.Load() }

// Block blocks a slot, durably, and wakes its subscribers so that they look.
// note is kept beside it and says why. Blocking the slot again replaces the note.
// Errors: ErrNoSlot, ErrBusy, ErrClosed and those of the records.
func (s *Store) Block(slot *Slot, note []byte) error {
	done, err := s.queue.admitRecord()
	if err != nil {
		return err
	}
	defer done()
	s.blockMu.Lock()
	defer s.blockMu.Unlock()
	if slot.dead.Load() {
		return ErrNoSlot
	}
	_, version, err := s.records.Value(blockKey(slot.id))
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return err
	}
	if _, err := s.records.Put(blockKey(slot.id), note, version, Totals{}); err != nil {
		return err
	}
	s.markBlocked(slot, true)
	if slot.dead.Load() { // removed meanwhile, perhaps before the mark
		s.markBlocked(slot, false)
		return errors.Join(ErrNoSlot, s.dropRecord(blockKey(slot.id)))
	}
	slot.subs.wake(s.clock.now)
	return nil
}

// Unblock lets a slot be used again, durably. A slot that is not blocked stays
// so. Errors are those of Block.
func (s *Store) Unblock(slot *Slot) error {
	done, err := s.queue.admitRecord()
	if err != nil {
		return err
	}
	defer done()
	s.blockMu.Lock()
	defer s.blockMu.Unlock()
	if slot.dead.Load() {
		return ErrNoSlot
	}
	if err := s.dropRecord(blockKey(slot.id)); err != nil {
		return err
	}
	s.markBlocked(slot, false)
	return nil
}

// BlockNote returns the note that a slot was blocked with, nil if it is not
// blocked.
func (s *Store) BlockNote(slot *Slot) ([]byte, error) { return s.value(blockKey(slot.id)) }

// BlockedSlots returns how many slots are blocked.
func (s *Store) BlockedSlots() int64 { return s.blockedSlots.Load() }

// markBlocked keeps the count in step with the flag.
func (s *Store) markBlocked(slot *Slot, blocked bool) {
	if slot.blocked.Swap(blocked) == blocked {
		return
	}
	if blocked {
		s.blockedSlots.Add(1)
	} else {
		s.blockedSlots.Add(-1)
	}
}

// loadBlocks marks the slots that the records call blocked. A record of a slot
// that is gone says nothing: no id comes again.
func (s *Store) loadBlocks() error {
	err := s.records.List(blockPrefix, func(key string, _ []byte, _ uint64) error {
		if id, ok := ParseID(key[len(blockPrefix):]); ok {
			if slot := s.Slot(id); slot != nil {
				s.markBlocked(slot, true)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot read which slots are blocked: %w", err)
	}
	return nil
}

// forgetBlock drops what is kept of a removed slot's block.
func (s *Store) forgetBlock(slot *Slot) error {
	s.blockMu.Lock()
	defer s.blockMu.Unlock()
	return s.dropRecord(blockKey(slot.id))
}

const blockPrefix = "block/"

func blockKey(id ID) string { return blockPrefix + id.String() }
