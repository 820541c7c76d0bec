package cow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// Four things stand beside a slot as records of the journal: the health record that
// its responder sets, how long it asked to be kept, the operator's block, and the tokens
// that it was not made with (records_token.go). They are written at once, not by the commit loop, and the queue's gate holds them
// to the same rules as posts.

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

// Lifetime is how long a slot is kept, and each of its events. Zero stands for as long as
// the operator says. Whole seconds count.
type Lifetime struct {
	Slot  time.Duration // after it was used last
	Event time.Duration // after it came
}

// LifetimePrefix begins the keys of the records that hold lifetimes.
const LifetimePrefix = "lifetime/"

func lifetimeKey(id ID) string { return LifetimePrefix + id.String() }

// ParseLifetime reads a record of a lifetime: its key, and its value.
func ParseLifetime(key string, value []byte) (id ID, l Lifetime, err error) {
	id, isID := ParseID(key[min(len(LifetimePrefix), len(key)):])
	slot, n := binary.Uvarint(value)
	event, m := binary.Uvarint(value[max(n, 0):])
	if !isID || n <= 0 || m <= 0 || n+m != len(value) || max(slot, event) > math.MaxUint32 {
		return id, l, fmt.Errorf("cow: the record %q of how long a slot is kept can't be read", key)
	}
	return id, Lifetime{time.Duration(slot) * time.Second, time.Duration(event) * time.Second}, nil
}

// AllocateFor is Allocate for a slot that has a lifetime of its own, which package
// retention follows. A crash may leave such a slot without it. Nobody has its tokens then,
// so nobody ever uses it.
func (s *Store) AllocateFor(l Lifetime) (id ID, slotToken, owner string, err error) {
	if id, slotToken, owner, err = s.Allocate(); err != nil || l == (Lifetime{}) {
		return id, slotToken, owner, err
	}
	value := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(l.Slot/time.Second)), uint64(l.Event/time.Second))
	done, err := s.Gate()
	if err == nil {
		_, err = s.records.Put(lifetimeKey(id), value, 0, Totals{})
		done()
	}
	if err != nil {
		if slot := s.Slot(id); slot != nil {
			err = errors.Join(err, s.Remove(slot))
		}
	}
	return id, slotToken, owner, err
}

// Lifetime returns the lifetime of a slot's own, zero if it has none.
func (s *Store) Lifetime(id ID) (Lifetime, error) {
	value, err := s.value(lifetimeKey(id))
	if err != nil || value == nil {
		return Lifetime{}, err
	}
	_, l, err := ParseLifetime(lifetimeKey(id), value)
	return l, err
}

// DropLifetime deletes the lifetime of a slot that is gone.
func (s *Store) DropLifetime(id ID) error { return s.dropRecord(lifetimeKey(id)) }

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
	for {
		_, version, err := s.records.Value(key)
		if errors.Is(err, ErrNoRecord) {
			return nil
		}
		if err != nil {
			return err
		}
		if err = s.records.Delete(key, version); !errors.Is(err, ErrConflict) {
			return err
		}
	}
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
	if slot.dead.Load() {
		return ErrNoSlot
	}
	for {
		_, version, err := s.records.Value(blockKey(slot.id))
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return err
		}
		// The watch marks the slot before Put returns.
		if _, err = s.records.Put(blockKey(slot.id), note, version, Totals{}); !errors.Is(err, ErrConflict) {
			if err == nil && slot.dead.Load() { // removed meanwhile
				return errors.Join(ErrNoSlot, s.dropRecord(blockKey(slot.id)))
			}
			return err
		}
	}
}

// Unblock lets a slot be used again, durably. A slot that is not blocked stays
// so. Errors are those of Block.
func (s *Store) Unblock(slot *Slot) error {
	done, err := s.queue.admitRecord()
	if err != nil {
		return err
	}
	defer done()
	if slot.dead.Load() {
		return ErrNoSlot
	}
	return s.dropRecord(blockKey(slot.id))
}

// BlockNote returns the note that a slot was blocked with, nil if it is not
// blocked.
func (s *Store) BlockNote(slot *Slot) ([]byte, error) { return s.value(blockKey(slot.id)) }

// BlockedSlots returns how many slots are blocked.
func (s *Store) BlockedSlots() int64 { return s.blockedSlots.Load() }

// noteBlock follows the record of a slot's block, which this relay or another has
// written. The readers of a slot that is blocked are woken: their streams end.
func (s *Store) noteBlock(id ID, blocked bool) {
	s.blockMu.Lock()
	if blocked {
		s.blocks[id] = struct{}{}
	} else {
		delete(s.blocks, id)
	}
	s.blockMu.Unlock()
	if slot := s.Slot(id); slot != nil {
		s.followBlock(slot)
	}
}

// followBlock brings the flag of a slot in step with what its record says. It is
// called when one of these has changed: the record, that the slot is known, that the
// slot is dead. So whichever comes last is seen.
func (s *Store) followBlock(slot *Slot) {
	s.blockMu.Lock()
	defer s.blockMu.Unlock()
	_, blocked := s.blocks[slot.id]
	blocked = blocked && !slot.dead.Load()
	if slot.blocked.Swap(blocked) == blocked {
		return
	}
	if !blocked {
		s.blockedSlots.Add(-1)
		return
	}
	s.blockedSlots.Add(1)
	slot.subs.wake(s.clock.now)
}

// loadBlocks reads which slots are blocked, and follows what changes. A record of a
// slot that is gone says nothing: no id comes again.
func (s *Store) loadBlocks() (unwatch func(), err error) {
	var mu sync.Mutex                    // guards changed
	changed := make(map[string]struct{}) // while the records are read; nil behind that
	unwatch = s.records.Watch(blockPrefix, func(key string, _ []byte, version uint64) {
		mu.Lock()
		defer mu.Unlock()
		if changed != nil {
			changed[key] = struct{}{}
		}
		if id, ok := ParseID(key[len(blockPrefix):]); ok {
			s.noteBlock(id, version != 0)
		}
	})
	err = s.records.List(blockPrefix, func(key string, _ []byte, _ uint64) error {
		mu.Lock()
		defer mu.Unlock()
		if _, newer := changed[key]; newer {
			return nil
		}
		if id, ok := ParseID(key[len(blockPrefix):]); ok {
			s.noteBlock(id, true)
		}
		return nil
	})
	if err != nil {
		unwatch()
		return nil, fmt.Errorf("cannot read which slots are blocked: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	changed = nil
	return unwatch, nil
}

const blockPrefix = "block/"

func blockKey(id ID) string { return blockPrefix + id.String() }
