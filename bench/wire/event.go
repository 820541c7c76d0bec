package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// CounterDigits is how many hex digits at the end of an event id hold the
// event's number. The digits before them name the run.
const CounterDigits = 16

// IDDigits is the length of an event id: that of SHA-256 in hex, which real
// clients use.
const IDDigits = 64

const (
	eventHead = `{"body":{"text":"`
	eventMid  = `"},"event_id":"`
	eventTail = `","from":"did:wire:bench-0a1b2c3d","kind":1,"to":"did:wire:peer-4d3c2b1a","type":"message"}`
)

// MinEventBytes is the size of an event whose text is empty.
const MinEventBytes = len(eventHead) + len(eventMid) + IDDigits + len(eventTail)

// SmallEventBytes is the size of the smallest event that has an id of its own:
// nothing but that id, its number.
const (
	smallHead       = `{"event_id":"`
	smallTail       = `"}`
	SmallEventBytes = len(smallHead) + CounterDigits + len(smallTail)
)

// A Template makes events of one size. Only the number of an event differs from
// one to the next, and it is written into the finished bytes: a unique event
// costs the generator 16 bytes of writing.
//
// Its keys are sorted and it holds no white space. So a relay that decodes
// events and encodes them again gives back the same bytes as a relay that keeps
// them.
type Template struct {
	Event []byte // the whole event, number 0
	IDAt  int    // offset of the id in event
	IDLen int    // length of the id
	NumAt int    // offset of the number in event
}

// NewTemplate makes events of size bytes. Their ids begin with nonce, which is
// 48 hex digits; events of SmallEventBytes have no room for it.
func NewTemplate(size int, nonce string) (*Template, error) {
	if size == SmallEventBytes {
		b := []byte(smallHead + "0000000000000000" + smallTail)
		return &Template{Event: b, IDAt: len(smallHead), IDLen: CounterDigits, NumAt: len(smallHead)}, nil
	}
	if size < MinEventBytes {
		return nil, fmt.Errorf("event of %d bytes: the smallest one is %d", size, MinEventBytes)
	}
	if len(nonce) != IDDigits-CounterDigits {
		return nil, fmt.Errorf("nonce of %d digits: %d are needed", len(nonce), IDDigits-CounterDigits)
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
	t := &Template{IDAt: len(b), IDLen: IDDigits, NumAt: len(b) + len(nonce)}
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
	b = append(b, t.Event[t.IDAt:t.IDAt+t.IDLen]...)
	PutHex(b[at+t.IDLen-CounterDigits:], n)
	return b
}

var errNotTheEvent = errors.New("not the bytes that were posted")

// Number checks that e is an event of this template, byte for byte, and returns
// its number.
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

// IDOf returns the id in e, or nil if e has not the length of this template's
// events.
func (t *Template) IDOf(e []byte) []byte {
	if len(e) != len(t.Event) {
		return nil
	}
	return e[t.IDAt : t.NumAt+CounterDigits]
}

// NumberOfID returns the number in an id of this template.
func (t *Template) NumberOfID(id []byte) (uint64, bool) {
	if len(id) != t.IDLen || !bytes.Equal(id[:t.IDLen-CounterDigits], t.Event[t.IDAt:t.NumAt]) {
		return 0, false
	}
	return ParseHex(id[t.IDLen-CounterDigits:])
}

// Nonce returns the digits that all ids begin with.
func (t *Template) Nonce() []byte { return t.Event[t.IDAt:t.NumAt] }

// NewNonce returns first digits of event ids that no other run has.
func NewNonce() string {
	b := make([]byte, (IDDigits-CounterDigits)/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
