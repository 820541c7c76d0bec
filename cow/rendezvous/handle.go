package rendezvous

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
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
	h.show(ProfileOf(h.Card))
	return h.encode()
}

// encode is Encode after show. It prints a handleHeader.
func (h *Handle) encode() []byte {
	value := make([]byte, 0, headerRoom+len(h.DID)+len(h.RelayURL)+len(h.profile)+len(h.Card))
	value = appendText(append(value, `{"did":`...), h.DID)
	value = hex.AppendEncode(append(value, `,"slot":"`...), h.Slot[:])
	value = append(value, '"')
	if h.RelayURL != "" {
		value = appendText(append(value, `,"relay_url":`...), h.RelayURL)
	}
	value = strconv.AppendInt(append(value, `,"claimed_at":`...), h.ClaimedAt.Unix(), 10)
	if h.Discoverable != nil {
		value = strconv.AppendBool(append(value, `,"discoverable":`...), *h.Discoverable)
	}
	if h.By != 0 {
		value = strconv.AppendUint(append(value, `,"by":`...), uint64(h.By), 10)
	}
	if h.unlisted {
		value = append(value, `,"unlisted":true`...)
	}
	value = append(append(value, `,"profile":`...), h.profile...)
	return append(append(value, "}\n"...), h.Card...)
}

// headerRoom is what a header has of its own: keys, numbers and the slot.
const headerRoom = 192

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
		h.show(ProfileOf(h.Card))
	}
	return h, nil
}

// Claimed returns the time of the last claim as it is shown.
func (h *Handle) Claimed() string { return h.ClaimedAt.UTC().Format(time.RFC3339) }

// appendRow appends what a page of the directory shows of the handle.
func (h *Handle) appendRow(dst []byte) []byte {
	dst = appendText(append(dst, `{"nick":`...), h.Nick)
	dst = appendText(append(dst, `,"did":`...), h.DID)
	dst = append(append(dst, `,"profile":`...), h.profile...)
	dst = h.ClaimedAt.UTC().AppendFormat(append(dst, `,"claimed_at":"`...), time.RFC3339)
	return append(dst, `"}`...)
}

func appendText(dst []byte, text string) []byte {
	dst, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		panic("BUG: a text of a record is not UTF-8")
	}
	return dst
}
