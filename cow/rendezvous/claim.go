package rendezvous

import (
	"errors"
	"fmt"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card"
)

// Claim is what an agent says when it claims a nick.
type Claim struct {
	Nick         string
	Slot         *cow.Slot // whose bearer has sent the claim
	RelayURL     string    // empty: as it was recorded
	Card         []byte
	Discoverable *bool // nil: as it was recorded
	By           Source
}

// OtherNickError says that the card's DID stands for another nick.
type OtherNickError struct{ Expected string }

func (e *OtherNickError) Error() string { return "rendezvous: the card's did stands for another nick" }

// TakenError says that the nick is not to be had: another DID has it, or the same
// DID has it with a slot that is in use.
type TakenError struct {
	By    string // the DID that has it
	InUse bool   // it is the claimer's own DID
}

func (e *TakenError) Error() string { return "rendezvous: the nick is taken" }

// Claim gives a nick to the agent of the card, durably. first: nobody had it. An
// agent that has it already renews its card, and what else the claim says. Errors,
// in this order: ErrNick, ErrRelayURL, card.ErrInvalid, *OtherNickError,
// *TakenError, ErrTooMany and ErrShare. The store's may come at any time.
func (d *Directory) Claim(c Claim) (did string, first bool, err error) {
	who, err := c.check()
	if err != nil {
		d.Stats.Invalid.Add(1)
		return "", false, err
	}
	done, err := d.store.Gate()
	if err != nil {
		return "", false, err
	}
	defer done()
	for {
		first, err = d.decide(&c, who.DID)
		if !errors.Is(err, cow.ErrConflict) {
			return who.DID, first, err
		}
		// Another claim of the nick came first. It may be the claimer's own.
	}
}

// check looks at the claim alone.
func (c *Claim) check() (card.Card, error) {
	if !card.ValidNick(c.Nick) {
		return card.Card{}, ErrNick
	}
	if c.RelayURL != "" {
		cleaned, ok := CleanRelayURL(c.RelayURL)
		if !ok {
			return card.Card{}, ErrRelayURL
		}
		c.RelayURL = cleaned
	}
	who, err := card.Verify(c.Card)
	if err == nil {
		if nick := card.NickOf(who.DID); nick != c.Nick {
			err = &OtherNickError{nick}
		}
	}
	return who, err
}

// decide writes the claim if the record, as it is now, allows it. ErrConflict: the
// record has changed meanwhile.
func (d *Directory) decide(c *Claim, did string) (first bool, err error) {
	h := Handle{Nick: c.Nick, DID: did, By: c.By}
	was, version, err := d.Lookup(c.Nick)
	first = errors.Is(err, ErrNoHandle)
	moves := false
	switch {
	case first:
		if err := d.reserve(c.By); err != nil {
			d.Stats.Full.Add(1)
			return false, err
		}
		defer d.release(c.By)
	case err != nil:
		return false, err
	case was.DID != did:
		d.Stats.Taken.Add(1)
		return false, &TakenError{By: was.DID}
	default:
		h.RelayURL, h.Discoverable, h.By = was.RelayURL, was.Discoverable, was.By
		if moves = was.Slot != c.Slot.ID(); moves && d.inUse(&was) {
			d.Stats.Kept.Add(1)
			return false, &TakenError{By: did, InUse: true}
		}
	}
	h.Slot, h.Card, h.ClaimedAt = c.Slot.ID(), c.Card, d.opts.Now().Truncate(time.Second)
	if c.RelayURL != "" {
		h.RelayURL = c.RelayURL
	}
	if c.Discoverable != nil {
		h.Discoverable = c.Discoverable
	}
	count := cow.Totals{HandleClaims: 1}
	if first {
		count.HandleFirstClaims = 1
	}
	if _, err := d.records.Put(HandleKey(h.Nick), h.Encode(), version, count); err != nil {
		return false, err
	}
	switch {
	case first:
		d.Stats.First.Add(1)
	default:
		d.Stats.Again.Add(1)
	}
	if moves {
		d.Stats.Moves.Add(1)
		d.opts.Logger.Info("a handle has moved to another slot", "nick", h.Nick, "did", did, "from", was.Slot.String(), "to", h.Slot.String())
	}
	return first, nil
}

// inUse says whether somebody still reads the slot of a handle. A card is public, so
// anybody can send it again: such a claim must not move the mail of an agent that
// is there. An agent that has just claimed may not have read yet.
func (d *Directory) inUse(h *Handle) bool {
	slot := d.store.Slot(h.Slot)
	if slot == nil {
		return false
	}
	last := max(slot.ReadAt(), h.ClaimedAt.Unix())
	return d.opts.Now().Unix()-last < int64(d.opts.MoveAfter/time.Second)
}

// Unclaim gives a nick up, durably, unless may returns an error for the handle as
// it is recorded. Errors: ErrNoHandle and those of may and of the store.
func (d *Directory) Unclaim(nick string, may func(Handle) error) error {
	for {
		h, version, err := d.Lookup(nick)
		if err != nil {
			return err
		}
		if err := may(h); err != nil {
			return err
		}
		done, err := d.store.Gate()
		if err != nil {
			return err
		}
		err = d.records.Delete(HandleKey(nick), version)
		done()
		switch {
		case err == nil:
			d.Stats.Unclaimed.Add(1)
			return nil
		case !errors.Is(err, cow.ErrConflict):
			return fmt.Errorf("cannot unclaim %q: %w", nick, err)
		}
	}
}
