package offline

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/card"
	"cowrelay/cow/event"
	"cowrelay/cow/rendezvous"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// handles takes the claimed nicks with their cards.
func (i *importing) handles() error {
	for _, f := range i.src.handles {
		h, why, detail := i.handle(f)
		var err error
		if why != "" {
			err = i.told.leave(kindHandle, f.path, nil, why, detail)
		} else {
			err = i.record(kindHandle, place{file: f.path}, rendezvous.HandleKey(h.Nick), h.Encode())
		}
		if err := errors.Join(err, i.passed(f.size)); err != nil {
			return err
		}
	}
	return nil
}

// handle reads a file, or says why it is not taken.
func (i *importing) handle(f importFile) (h rendezvous.Handle, why, detail string) {
	data, err := i.src.whole(f, maxImportSmall)
	if err != nil {
		return h, "the file can't be read", err.Error()
	}
	var r struct {
		Nick         string         `json:"nick"`
		DID          string         `json:"did"`
		Card         jsontext.Value `json:"card"`
		Slot         string         `json:"slot_id"`
		RelayURL     *string        `json:"relay_url"`
		ClaimedAt    string         `json:"claimed_at"`
		Discoverable *bool          `json:"discoverable"`
	}
	if err := json.Unmarshal(data, &r, importJSON); err != nil {
		return h, "the file can't be read", err.Error()
	}
	slot, isID := cow.ParseID(r.Slot)
	signed, err := card.Verify(r.Card)
	at, timeErr := time.Parse(time.RFC3339, r.ClaimedAt)
	switch {
	case r.Nick != f.name || !card.ValidNick(r.Nick):
		return h, "its nick is none, or not the name of the file", ""
	case !isID:
		return h, "it names no slot", ""
	case err != nil:
		return h, "its card does not verify", err.Error()
	case signed.DID != r.DID:
		return h, "its card is that of another DID", ""
	}
	// Clients read cards with the same parsers as events.
	if err := event.Check(r.Card); err != nil {
		return h, "a client could not read its card", err.Error()
	}
	if err := r.Card.Compact(jsontext.AllowDuplicateNames(true)); err != nil {
		return h, "the file can't be read", err.Error()
	}
	where := place{file: f.path}
	if timeErr != nil {
		at = f.modified
		i.told.note(where, "the time of the claim can't be read; the time of the file was taken")
	}
	if _, ok := i.to.have[slot]; !ok {
		i.told.note(where, "the nick was taken, but there is no slot for it; its owner can claim it again")
	}
	h = rendezvous.Handle{Nick: r.Nick, DID: r.DID, Slot: slot, Discoverable: r.Discoverable, ClaimedAt: at.UTC().Truncate(time.Second), Card: bytes.Clone(r.Card)}
	if r.RelayURL != nil && strings.TrimSpace(*r.RelayURL) != "" {
		url, ok := rendezvous.CleanRelayURL(*r.RelayURL)
		if !ok {
			i.told.note(where, "the nick was taken without its relay_url, which is none")
		} else {
			h.RelayURL = url
		}
	}
	return h, "", ""
}
