package cow

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of the contract, in bytes and counts.
const (
	MaxEventBytes = 262_144    // one event after compaction
	MaxBodyBytes  = 2 << 20    // the body of a post
	MaxSlotBytes  = 67_108_864 // all events of a slot
	MaxIDBytes    = 128        // a decoded event_id
	MaxDepth      = 127        // arrays and objects, counted over the request body
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
// buf, which may be nil. Only events that AcceptPost produced may be asked.
func (e Event) ID(buf []byte) ([]byte, bool) {
	if e.IDOff == 0 {
		return nil, false
	}
	raw := e.rawID()
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], true
	}
	id, err := jsontext.AppendUnquote(buf[:0], raw)
	if err != nil {
		panic("BUG: stored event id does not decode: " + err.Error())
	}
	return id, true
}

// rawID returns the id's JSON string with its quotes, or nil.
func (e Event) rawID() []byte {
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
