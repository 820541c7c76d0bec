package event

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of the contract.
const (
	MaxBytes     = 262_144 // of one event after compaction
	MaxBodyBytes = 2 << 20 // of the body of a post
	MaxIDBytes   = 128     // of a decoded event_id
	MaxDepth     = 127     // arrays and objects inside one another, the request body being the first
)

// Event is one accepted event: compact JSON and where in it the id stands.
// It does not own its bytes.
type Event struct {
	// JSON is the compacted object, as it is stored, pulled and streamed.
	JSON []byte
	// IDOff is the offset in JSON of the opening quote of the value of the
	// top-level key event_id, or 0 when the event has no id (no value of an
	// object can stand at offset 0).
	IDOff uint32
}

// ID returns the decoded event id and whether there is one. The result is a
// part of e.JSON when the id holds no escapes; otherwise it is decoded into
// buf, which may be nil. Only events that Accept produced may be asked.
func (e Event) ID(buf []byte) ([]byte, bool) {
	if e.IDOff == 0 {
		return nil, false
	}
	raw := e.RawID()
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	id, err := jsontext.AppendUnquote(buf[:0], raw)
	if err != nil {
		panic("BUG: stored event id does not decode: " + err.Error())
	}
	return id, true
}

// HasID says whether the event's id is id. It keeps no decoded one.
func (e Event) HasID(id []byte) bool {
	var room [MaxIDBytes]byte
	got, ok := e.ID(room[:0])
	return ok && string(got) == string(id)
}

// RawID returns the id's JSON string with its quotes, or nil.
func (e Event) RawID() []byte {
	if e.IDOff == 0 {
		return nil
	}
	raw := e.JSON[e.IDOff:]
	for i := 1; ; i++ {
		switch raw[i] {
		case '"':
			return raw[:i+1]
		case '\\':
			i++
		}
	}
}

// unquote decodes a valid string. Without escapes the result is a part of raw.
func unquote(raw []byte) []byte {
	if s := raw[1 : len(raw)-1]; bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	s, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		panic("BUG: string was valid and does not decode: " + err.Error())
	}
	return s
}
