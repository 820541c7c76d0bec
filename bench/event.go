package bench

import (
	"bytes"
	"errors"
	"fmt"
)

// counterDigits is the number of hex digits at the end of an event id that
// hold the event's number; the digits before them name the run.
const counterDigits = 16

// idDigits is the length of an event id: like the ids of real clients, which
// are SHA-256 in hex.
const idDigits = 64

const (
	eventHead = `{"body":{"text":"`
	eventMid  = `"},"event_id":"`
	eventTail = `","from":"did:wire:bench-0a1b2c3d","kind":1,"to":"did:wire:peer-4d3c2b1a","type":"message"}`
)

// minEventBytes is the size of an event whose text is empty.
const minEventBytes = len(eventHead) + len(eventMid) + idDigits + len(eventTail)

// smallEventBytes is the size of the smallest event that has an id of its own:
// nothing but that id, its number.
const (
	smallHead       = `{"event_id":"`
	smallTail       = `"}`
	smallEventBytes = len(smallHead) + counterDigits + len(smallTail)
)

// A template is an event of fixed size whose number is patched in place, so
// that making a unique event costs the generator 16 bytes of writing. Its keys
// are sorted and it holds no white space: a relay that decodes and re-encodes
// events gives the same bytes back as one that keeps them.
type template struct {
	event []byte // the whole event, number 0
	idAt  int    // offset of the id in event
	idLen int    // length of the id
	numAt int    // offset of the number in event
}

// newTemplate makes events of size bytes whose ids begin with nonce, 48 hex
// digits. Events of smallEventBytes have no room for it.
func newTemplate(size int, nonce string) (*template, error) {
	if size == smallEventBytes {
		b := []byte(smallHead + "0000000000000000" + smallTail)
		return &template{event: b, idAt: len(smallHead), idLen: counterDigits, numAt: len(smallHead)}, nil
	}
	if size < minEventBytes {
		return nil, fmt.Errorf("event of %d bytes: the smallest one is %d", size, minEventBytes)
	}
	if len(nonce) != idDigits-counterDigits {
		return nil, fmt.Errorf("nonce of %d digits: %d are needed", len(nonce), idDigits-counterDigits)
	}
	// The text is not one letter repeated: a store that compresses would
	// otherwise be measured on nothing.
	const letters = "the quick brown fox jumps over the lazy dog 0123456789 "
	var b []byte
	b = append(b, eventHead...)
	for i := range size - minEventBytes {
		b = append(b, letters[(i*i+i/7)%len(letters)])
	}
	b = append(b, eventMid...)
	t := &template{idAt: len(b), idLen: idDigits, numAt: len(b) + len(nonce)}
	b = append(b, nonce...)
	b = append(b, "0000000000000000"...)
	t.event = append(b, eventTail...)
	return t, nil
}

// size is the length of an event in bytes.
func (t *template) size() int { return len(t.event) }

// appendEvent appends event n to b.
func (t *template) appendEvent(b []byte, n uint64) []byte {
	at := len(b)
	b = append(b, t.event...)
	putHex(b[at+t.numAt:], n)
	return b
}

// appendID appends the id of event n to b.
func (t *template) appendID(b []byte, n uint64) []byte {
	at := len(b)
	b = append(b, t.event[t.idAt:t.idAt+t.idLen]...)
	putHex(b[at+t.idLen-counterDigits:], n)
	return b
}

var errNotTheEvent = errors.New("not the bytes that were posted")

// number checks that e is an event of this template, byte for byte, and
// returns its number.
func (t *template) number(e []byte) (uint64, error) {
	if len(e) != len(t.event) {
		return 0, fmt.Errorf("event of %d bytes, want %d", len(e), len(t.event))
	}
	end := t.numAt + counterDigits
	if !bytes.Equal(e[:t.numAt], t.event[:t.numAt]) || !bytes.Equal(e[end:], t.event[end:]) {
		return 0, errNotTheEvent
	}
	n, ok := parseHex(e[t.numAt:end])
	if !ok {
		return 0, errNotTheEvent
	}
	return n, nil
}

// idOf returns the id in e, an event of this template; nil where it is none by
// its length.
func (t *template) idOf(e []byte) []byte {
	if len(e) != len(t.event) {
		return nil
	}
	return e[t.idAt : t.numAt+counterDigits]
}

// numberOfID returns the number in an id of this template.
func (t *template) numberOfID(id []byte) (uint64, bool) {
	if len(id) != t.idLen || !bytes.Equal(id[:t.idLen-counterDigits], t.event[t.idAt:t.numAt]) {
		return 0, false
	}
	return parseHex(id[t.idLen-counterDigits:])
}

const hexLower = "0123456789abcdef"

// putHex writes n as 16 hex digits to the start of b.
func putHex(b []byte, n uint64) {
	_ = b[counterDigits-1]
	for i := counterDigits - 1; i >= 0; i-- {
		b[i] = hexLower[n&15]
		n >>= 4
	}
}

// hexValue holds the value of each lowercase hex digit and 0xff elsewhere.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(hexLower) {
		t[hexLower[i]] = byte(i)
	}
	return t
}()

// parseHex reads 16 lowercase hex digits.
func parseHex(b []byte) (n uint64, ok bool) {
	if len(b) != counterDigits {
		return 0, false
	}
	for _, c := range b {
		v := hexValue[c]
		if v == 0xff {
			return 0, false
		}
		n = n<<4 | uint64(v)
	}
	return n, true
}
