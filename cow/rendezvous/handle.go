package rendezvous

import (
	"bytes"
	"fmt"
	"time"

	"cowrelay/cow"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Handle is a claimed nick as it is recorded.
type Handle struct {
	Nick         string
	DID          string
	Slot         cow.ID    // where the agent's mail goes
	RelayURL     string    // of the relay that has the slot; empty: not said
	Discoverable *bool     // false: the directory leaves it out; nil: not said
	ClaimedAt    time.Time // the last claim, in whole seconds
	By           Source    // who claimed it first
	Card         []byte    // as it came with the last claim, byte for byte

	profile  jsontext.Value // what the directory shows of the card
	unlisted bool           // the card asks to be left out
}

// handlePrefix begins the keys of handles' records.
const handlePrefix = "handle/"

// HandleKey is the key of a handle's record.
func HandleKey(nick string) string { return handlePrefix + nick }

// handleHeader is the first line of a record; the card follows it. What the
// directory shows stands in the header, so that no card is parsed at the start.
// Members that are not known are passed over.
type handleHeader struct {
	DID          string         `json:"did"`
	Slot         string         `json:"slot"`
	RelayURL     string         `json:"relay_url,omitzero"`
	ClaimedAt    int64          `json:"claimed_at"` // Unix seconds
	Discoverable *bool          `json:"discoverable,omitzero"`
	By           Source         `json:"by,omitzero"`
	Unlisted     bool           `json:"unlisted,omitzero"`
	Profile      jsontext.Value `json:"profile,omitzero"`
}

// Encode returns the value of the handle's record.
func (h Handle) Encode() []byte {
	h.readCard()
	value, err := json.Marshal(handleHeader{
		DID: h.DID, Slot: h.Slot.String(), RelayURL: h.RelayURL, ClaimedAt: h.ClaimedAt.Unix(), Discoverable: h.Discoverable,
		By: h.By, Unlisted: h.unlisted, Profile: h.profile,
	}, jsontext.AllowDuplicateNames(true))
	if err != nil { // the texts are not UTF-8, but they come out of JSON
		panic("BUG: a handle can't be encoded")
	}
	return append(append(value, '\n'), h.Card...)
}

// DecodeHandle reads the value of a handle's record. The handle keeps parts of it.
func DecodeHandle(nick string, value []byte) (Handle, error) {
	header, card, ok := bytes.Cut(value, []byte{'\n'})
	var r handleHeader
	err := json.Unmarshal(header, &r, jsontext.AllowDuplicateNames(true))
	slot, isID := cow.ParseID(r.Slot)
	if err != nil || !ok || !isID {
		return Handle{}, fmt.Errorf("the record of the handle %q can't be read", nick)
	}
	h := Handle{
		Nick: nick, DID: r.DID, Slot: slot, RelayURL: r.RelayURL, Discoverable: r.Discoverable, ClaimedAt: time.Unix(r.ClaimedAt, 0).UTC(),
		By: r.By, Card: card, profile: r.Profile, unlisted: r.Unlisted,
	}
	if h.profile == nil {
		h.readCard()
	}
	return h, nil
}

// Claimed returns the time of the last claim as it is shown.
func (h *Handle) Claimed() string { return h.ClaimedAt.UTC().Format(time.RFC3339) }

// row returns what a page of the directory shows of the handle.
func (h *Handle) row() []byte {
	row := appendText([]byte(`{"nick":`), h.Nick)
	row = appendText(append(row, `,"did":`...), h.DID)
	row = append(append(row, `,"profile":`...), h.profile...)
	row = append(append(row, `,"claimed_at":"`...), h.Claimed()...)
	return append(row, `"}`...)
}

func appendText(dst []byte, text string) []byte {
	dst, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		panic("BUG: a text of a record is not UTF-8")
	}
	return dst
}
