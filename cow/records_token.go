package cow

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"cowrelay/cow/token"
)

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
		s.tokenMu.Lock()
		defer s.tokenMu.Unlock()
		if slot := s.Slot(id); slot != nil {
			s.noteToken(slot, spot, value, version, listed)
			return
		}
		if s.shared != nil {
			s.tokens.KeepEarly(spot, value, version, listed)
		}
		if value != nil {
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

// claimTokens gives a slot that has become known the tokens that were heard of before.
// The records come by a watch and the slots by the feed, which may be behind it.
func (s *Store) claimTokens(slot *Slot) {
	s.tokenMu.Lock()
	defer s.tokenMu.Unlock()
	for _, e := range s.tokens.TakeEarly(slot.id) {
		s.noteToken(slot, e.Spot, e.Value, e.Version, false)
	}
}

const (
	tokenTick  = 500 * time.Millisecond // how late the end of a token may be noticed
	tokenRetry = 10 * time.Second       // after records that could not be dropped
	tokenBatch = 1024                   // records of one turn
	tokenDrops = 16                     // records that are dropped at once, so that they share a sync
	tokenShare = 20 * time.Second       // at most so long a relay leaves records to others that share them
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
			if s.shared != nil && s.shared.Health().Away > 0 {
				continue
			}
			spots := s.tokens.TakeLeaving(tokenBatch)
			if s.shared != nil && len(spots) < tokenBatch { // all relays see the same ends: one of them is first
				pause = now.Add(rand.N(tokenShare))
			}
			if err := s.dropTokens(spots); err != nil {
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
