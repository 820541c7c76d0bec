package cow

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"cowrelay/cow/token"
)

// Three things stand beside a slot as records of the journal: the health record that
// its responder sets, the operator's block, and the tokens that it was not made with.
// They are written at once, not by the commit loop, and the queue's gate holds them
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

// The tokens of a slot that it was not made with are records, one for each place of
// the slot (see package token). What a relay writes, and what others write, comes back
// by the records' watch, and that alone changes what Authorize sees: a call that
// writes a record returns behind it.

// maxTokenBytes is how much memory further tokens may take, some 200 bytes each. On a
// small budget it is a quarter of that.
const maxTokenBytes = 48 << 20

// ErrNoToken: the slot has no further token of this id.
var ErrNoToken = errors.New("cow: no such token")

// NewToken gives the slot a further token, durably, and returns it. It may do what
// rec.May says, until rec.Expires, and rec.By and rec.Note are kept. The rest of rec
// is filled in. A ticket of the slot token counts apart from the others. The token
// itself is not kept. Errors: token.ErrMany, token.ErrManyTickets, token.ErrFull,
// token.ErrShare, ErrNoSlot, ErrNoSpace, ErrBusy, ErrClosed and those of the records.
func (s *Store) NewToken(slot *Slot, rec *token.Record, ofSlotToken bool) (string, error) {
	done, err := s.Gate()
	if err != nil {
		return "", err
	}
	defer done()
	text := NewToken()
	rec.ID, rec.Hash = token.NewID(), HashToken([]byte(text))
	var tried []token.Spot
	defer func() { s.tokens.Release(tried...) }()
	for {
		spot, expected, err := s.tokens.Reserve(slot.id, &slot.tokens, ofSlotToken, rec.By, time.Now().Unix())
		if err != nil {
			return "", err
		}
		tried = append(tried, spot)
		_, err = s.records.Put(spot.Key(), rec.Encode(), expected, Totals{})
		switch {
		case errors.Is(err, ErrConflict): // another relay has taken the place
			continue
		case err != nil:
			return "", err
		case slot.dead.Load():
			s.tokens.Leave(spot)
			return "", ErrNoSlot
		}
		return text, nil
	}
}

// Tokens returns the further tokens of a slot that are live, the oldest first.
func (s *Store) Tokens(slot *Slot) []*token.Token {
	return slot.tokens.Load().Live(time.Now().Unix())
}

// Revoke takes back a further token, durably. Streams and long polls that it has let
// in end. Errors: ErrNoToken, ErrBusy, ErrClosed and those of the records.
func (s *Store) Revoke(slot *Slot, id token.ID) error {
	done, err := s.queue.admitRecord()
	if err != nil {
		return err
	}
	defer done()
	t := slot.tokens.Load().ByID(id)
	if t == nil || !t.Live(time.Now().Unix()) {
		return ErrNoToken
	}
	key := token.Key(slot.id, t.Place)
	version := t.Version
	for {
		err := s.records.Delete(key, version)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		// Somebody was faster. Memory hears of it by the watch.
		var value []byte
		if value, version, err = s.records.Value(key); errors.Is(err, ErrNoRecord) {
			return ErrNoToken
		} else if err != nil {
			return err
		}
		if rec, err := token.Decode(value); err != nil || rec.ID != id {
			return ErrNoToken
		}
	}
}

// Rotate gives the slot another slot token, durably, and returns it. The one before is
// dead then. Errors: ErrNoSlot, ErrNoSpace, ErrBusy, ErrClosed and those of the
// records.
func (s *Store) Rotate(slot *Slot) (string, error) {
	return s.replaceToken(slot, token.SlotPlace, token.OfSlot)
}

// SetOwner gives the slot another owner's token, durably, or its first, and returns
// it. The one before is dead then. Errors are those of Rotate.
func (s *Store) SetOwner(slot *Slot) (string, error) {
	return s.replaceToken(slot, token.OwnerPlace, token.OfOwner)
}

// HasOwner says whether the slot has an owner's token.
func (s *Slot) HasOwner() bool { return s.owner != TokenHash{} || s.tokens.Load().OfOwner() != nil }

// replaceToken puts a token in place of one that the slot was made with. These are at
// most two records a slot, so no other bound is needed, and nobody can take from an
// owner the means to shut others out.
func (s *Store) replaceToken(slot *Slot, place token.Place, may token.Right) (string, error) {
	done, err := s.Gate()
	if err != nil {
		return "", err
	}
	defer done()
	spot := token.Spot{Slot: slot.id, Place: place}
	text := NewToken()
	rec := token.Record{ID: token.NewID(), Hash: HashToken([]byte(text)), May: may, Created: time.Now().Unix()}
	for {
		if slot.dead.Load() {
			return "", ErrNoSlot
		}
		_, version, err := s.records.Value(spot.Key())
		if err != nil && !errors.Is(err, ErrNoRecord) {
			return "", err
		}
		_, err = s.records.Put(spot.Key(), rec.Encode(), version, Totals{})
		switch {
		case errors.Is(err, ErrConflict):
			continue
		case err != nil:
			return "", err
		case slot.dead.Load():
			s.tokens.Leave(spot)
			return "", ErrNoSlot
		}
		return text, nil
	}
}

// noteToken brings a slot in step with the record of one of its tokens, and wakes
// the readers that must look whether they may go on.
func (s *Store) noteToken(slot *Slot, spot token.Spot, value []byte, version uint64, listed bool) {
	died, err := s.tokens.Note(spot, &slot.tokens, value, version, listed)
	if err != nil {
		s.opts.Logger.Error("the record of a token can't be read: nobody has this token", "slot", slot.id, "place", spot.Place, "error", err)
	}
	if died {
		slot.subs.wake(s.clock.now)
	}
	if slot.dead.Load() { // removed meanwhile, perhaps before the note
		s.tokens.Bury(&slot.tokens)
	}
}

// loadTokens reads the records of tokens and begins to watch them. A record of a slot
// that is not known is looked at again by keepTokens: the relay ended before it had
// dropped the record, or the slot is another relay's and is heard of later.
func (s *Store) loadTokens() (unwatch func(), err error) {
	note := func(key string, value []byte, version uint64, listed bool) {
		id, place, ok := token.ParseKey(key)
		if !ok {
			s.opts.Logger.Error("a record of a token has an unknown key", "length", len(key))
			return
		}
		spot := token.Spot{Slot: id, Place: place}
		if slot := s.Slot(id); slot != nil {
			s.noteToken(slot, spot, value, version, listed)
		} else if value != nil {
			s.tokens.Leave(spot)
		}
	}
	unwatch = s.records.Watch(token.Prefix, func(key string, value []byte, version uint64) { note(key, value, version, false) })
	err = s.records.List(token.Prefix, func(key string, value []byte, version uint64) error {
		note(key, value, version, true)
		return nil
	})
	if err != nil {
		unwatch()
		return nil, fmt.Errorf("cannot read the tokens of slots: %w", err)
	}
	s.tokens.Loaded()
	return unwatch, nil
}

const (
	tokenTick  = 500 * time.Millisecond // how late the end of a token may be noticed
	tokenRetry = 10 * time.Second       // after records that could not be dropped
	tokenBatch = 1024                   // records of one turn
	tokenDrops = 16                     // records that are dropped at once, so that they share a sync
)

// keepTokens ends tokens whose time is over, and drops the records of tokens that
// ended or whose slot is gone, until the store closes.
func (s *Store) keepTokens(unwatch func()) {
	defer unwatch()
	tick := time.NewTicker(tokenTick)
	defer tick.Stop()
	var pause time.Time // until then no record is dropped
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			for _, t := range s.tokens.Over(now.Unix(), tokenBatch) {
				if slot := s.Slot(t.Slot); slot != nil {
					slot.subs.wake(s.clock.now)
				}
			}
			if now.Before(pause) {
				continue
			}
			if err := s.dropTokens(s.tokens.TakeLeaving(tokenBatch)); err != nil {
				pause = now.Add(tokenRetry)
				if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrClosed) {
					s.opts.Logger.Warn("records of ended tokens can't be dropped; tried again later", "error", err)
				}
			}
		}
	}
}

// dropTokens drops the records of spots whose token is over or whose slot is gone.
// Those that fail are kept for another turn.
func (s *Store) dropTokens(spots []token.Spot) (err error) {
	var mu sync.Mutex // guards spots and err
	var all sync.WaitGroup
	for range min(tokenDrops, len(spots)) {
		all.Go(func() {
			for {
				mu.Lock()
				if len(spots) == 0 {
					mu.Unlock()
					return
				}
				spot := spots[0]
				spots = spots[1:]
				mu.Unlock()
				if e := s.dropToken(spot); e != nil {
					s.tokens.Leave(spot)
					mu.Lock()
					err = e
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return err
}

// dropToken drops a record if its time is over or its slot is gone. The journal knows
// best: the place may have another token by now, and memory may not know the slot yet.
func (s *Store) dropToken(spot token.Spot) error {
	done, err := s.queue.admitRecord() // also on a full disk: it makes room
	if err != nil {
		return err
	}
	defer done()
	value, version, err := s.records.Value(spot.Key())
	if errors.Is(err, ErrNoRecord) {
		return nil
	}
	if err != nil {
		return err
	}
	if slot := s.Slot(spot.Slot); slot != nil {
		if rec, err := token.Decode(value); err != nil || !rec.Over(time.Now().Unix()) {
			return s.rememberToken(slot, spot, value, version)
		}
	} else {
		switch err := s.journal.Load(spot.Slot, math.MaxInt64, func(*Append) error { return nil }); {
		case err == nil: // it comes
			s.tokens.Leave(spot)
			return nil
		case !errors.Is(err, ErrNoSlot):
			return err
		}
	}
	if err := s.records.Delete(spot.Key(), version); !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// rememberToken makes memory know a token of whose record it heard before it knew the
// slot.
func (s *Store) rememberToken(slot *Slot, spot token.Spot, value []byte, version uint64) error {
	s.noteToken(slot, spot, value, version, true)
	_, now, err := s.records.Value(spot.Key())
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return err
	}
	if now != version { // the watch may have told of that before the note
		s.tokens.Forget(spot, &slot.tokens, version)
	}
	return nil
}

// TokenStats returns how many tokens there are beside those that slots were made with.
func (s *Store) TokenStats() (tokens int, bytes int64) { return s.tokens.Len() }
