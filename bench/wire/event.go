package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// CounterDigits is the number of hex digits at the end of an event id that
// hold the event's number; the digits before them name the run.
const CounterDigits = 16

// IdDigits is the length of an event id: like the ids of real clients, which
// are SHA-256 in hex.
const IdDigits = 64

const (
	eventHead = `{"body":{"text":"`
	eventMid  = `"},"event_id":"`
	eventTail = `","from":"did:wire:bench-0a1b2c3d","kind":1,"to":"did:wire:peer-4d3c2b1a","type":"message"}`
)

// MinEventBytes is the size of an event whose text is empty.
const MinEventBytes = len(eventHead) + len(eventMid) + IdDigits + len(eventTail)

// SmallEventBytes is the size of the smallest event that has an id of its own:
// nothing but that id, its number.
const (
	smallHead       = `{"event_id":"`
	smallTail       = `"}`
	SmallEventBytes = len(smallHead) + CounterDigits + len(smallTail)
)

// A Template is an event of fixed size whose number is patched in place, so
// that making a unique event costs the generator 16 bytes of writing. Its keys
// are sorted and it holds no white space: a relay that decodes and re-encodes
// events gives the same bytes back as one that keeps them.
type Template struct {
	Event []byte // the whole event, number 0
	IdAt  int    // offset of the id in event
	IdLen int    // length of the id
	NumAt int    // offset of the number in event
}

// NewTemplate makes events of size bytes whose ids begin with nonce, 48 hex
// digits. Events of SmallEventBytes have no room for it.
func NewTemplate(size int, nonce string) (*Template, error) {
	if size == SmallEventBytes {
		b := []byte(smallHead + "0000000000000000" + smallTail)
		return &Template{Event: b, IdAt: len(smallHead), IdLen: CounterDigits, NumAt: len(smallHead)}, nil
	}
	if size < MinEventBytes {
		return nil, fmt.Errorf("event of %d bytes: the smallest one is %d", size, MinEventBytes)
	}
	if len(nonce) != IdDigits-CounterDigits {
		return nil, fmt.Errorf("nonce of %d digits: %d are needed", len(nonce), IdDigits-CounterDigits)
	}
	// The text is not one letter repeated: a store that compresses would
	// otherwise be measured on nothing.
	const letters = "the quick brown fox jumps over the lazy dog 0123456789 "
	var b []byte
	b = append(b, eventHead...)
	for i := range size - MinEventBytes {
		b = append(b, letters[(i*i+i/7)%len(letters)])
	}
	b = append(b, eventMid...)
	t := &Template{IdAt: len(b), IdLen: IdDigits, NumAt: len(b) + len(nonce)}
	b = append(b, nonce...)
	b = append(b, "0000000000000000"...)
	t.Event = append(b, eventTail...)
	return t, nil
}

// Size is the length of an event in bytes.
func (t *Template) Size() int { return len(t.Event) }

// AppendEvent appends event n to b.
func (t *Template) AppendEvent(b []byte, n uint64) []byte {
	at := len(b)
	b = append(b, t.Event...)
	PutHex(b[at+t.NumAt:], n)
	return b
}

// AppendID appends the id of event n to b.
func (t *Template) AppendID(b []byte, n uint64) []byte {
	at := len(b)
	b = append(b, t.Event[t.IdAt:t.IdAt+t.IdLen]...)
	PutHex(b[at+t.IdLen-CounterDigits:], n)
	return b
}

var errNotTheEvent = errors.New("not the bytes that were posted")

// Number checks that e is an event of this template, byte for byte, and
// returns its number.
func (t *Template) Number(e []byte) (uint64, error) {
	if len(e) != len(t.Event) {
		return 0, fmt.Errorf("event of %d bytes, want %d", len(e), len(t.Event))
	}
	end := t.NumAt + CounterDigits
	if !bytes.Equal(e[:t.NumAt], t.Event[:t.NumAt]) || !bytes.Equal(e[end:], t.Event[end:]) {
		return 0, errNotTheEvent
	}
	n, ok := ParseHex(e[t.NumAt:end])
	if !ok {
		return 0, errNotTheEvent
	}
	return n, nil
}

// IDOf returns the id in e, an event of this template; nil where it is none by
// its length.
func (t *Template) IDOf(e []byte) []byte {
	if len(e) != len(t.Event) {
		return nil
	}
	return e[t.IdAt : t.NumAt+CounterDigits]
}

// NumberOfID returns the number in an id of this template.
func (t *Template) NumberOfID(id []byte) (uint64, bool) {
	if len(id) != t.IdLen || !bytes.Equal(id[:t.IdLen-CounterDigits], t.Event[t.IdAt:t.NumAt]) {
		return 0, false
	}
	return ParseHex(id[t.IdLen-CounterDigits:])
}

// Nonce returns what the ids of all events begin with.
func (t *Template) Nonce() []byte { return t.Event[t.IdAt:t.NumAt] }

// NewNonce is a start of event ids that no other run has.
func NewNonce() string {
	b := make([]byte, (IdDigits-CounterDigits)/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
