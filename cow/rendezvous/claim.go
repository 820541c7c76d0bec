package rendezvous

import (
	"context"
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
	// Memory mostly knows what is recorded. The record's version, which the write
	// names, says whether it did.
	was, known := d.remembered(&c)
	for {
		if !known {
			if was, err = d.recorded(c.Nick); err != nil {
				return "", false, err
			}
		}
		first, err = d.decide(&c, who, was)
		if !errors.Is(err, cow.ErrConflict) {
			return who.DID, first, err
		}
		// Another claim of the nick came first. It may be the claimer's own.
		known = false
	}
}

// holder is what a claim has to know of the handle that is recorded. Version 0:
// there is none.
type holder struct {
	version      uint64
	did          string
	slot         cow.ID
	relayURL     string
	discoverable *bool
	claimedAt    int64 // Unix seconds
	by           Source
}

// remembered returns what memory knows of the nick's holder. known is false if that
// is not enough for the claim.
func (d *Directory) remembered(c *Claim) (was holder, known bool) {
	e := d.entry(c.Nick)
	if e == nil {
		return holder{}, true
	}
	return holder{
		version: e.version, did: e.did, slot: e.slot, discoverable: e.discoverable, claimedAt: e.claimedAt, by: e.by,
	}, e.did != "" && c.RelayURL != "" // addresses are not kept in memory
}

// recorded returns the nick's holder from its record.
func (d *Directory) recorded(nick string) (holder, error) {
	h, version, err := d.Lookup(nick)
	if errors.Is(err, ErrNoHandle) {
		return holder{}, nil
	}
	return holder{
		version: version, did: h.DID, slot: h.Slot, relayURL: h.RelayURL, discoverable: h.Discoverable, claimedAt: h.ClaimedAt.Unix(), by: h.By,
	}, err
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

// decide writes the claim if the nick's holder allows it. ErrConflict: the record is
// another one.
func (d *Directory) decide(c *Claim, who card.Card, was holder) (first bool, err error) {
	did := who.DID
	h := Handle{Nick: c.Nick, DID: did, By: c.By}
	first = was.version == 0
	moves := false
	switch {
	case first:
		p, err := d.reserve(c.Nick, c.By)
		if err != nil {
			d.Stats.Full.Add(1)
			return false, err
		}
		defer d.release(c.Nick, p)
	case was.did != did:
		d.Stats.Taken.Add(1)
		return false, &TakenError{By: was.did}
	default:
		h.RelayURL, h.Discoverable, h.By = was.relayURL, was.discoverable, was.by
		if moves = was.slot != c.Slot.ID(); moves && d.inUse(was.slot, was.claimedAt) {
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
	h.show(readProfile(who.Profile))
	w := written{h.encode(), d.entryFor(&h)}
	d.write(h.Nick, w)
	if _, err := d.records.Put(HandleKey(h.Nick), w.value, was.version, count); err != nil {
		d.forget(h.Nick, w)
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
		d.opts.Logger.Info("a handle has moved to another slot", "nick", h.Nick, "did", did, "from", was.slot.String(), "to", h.Slot.String())
	}
	return first, nil
}

// inUse says whether somebody still reads the slot of a handle. A card is public, so
// anybody can send it again: such a claim must not move the mail of an agent that
// is there. An agent that has just claimed may not have read yet.
func (d *Directory) inUse(id cow.ID, claimedAt int64) bool {
	slot := d.store.Slot(id)
	if slot == nil && d.store.Barrier(context.Background()) == nil {
		slot = d.store.Slot(id) // another relay made it just now
	}
	if slot == nil {
		return false
	}
	last := max(slot.ReadAt(), claimedAt)
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
		done, err := toDrop(d.store.Gate)
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
