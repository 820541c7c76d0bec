package client

import (
	"encoding/json"
	"fmt"
)

// Event returns an event of about size bytes.
func Event(id string, size int) []byte {
	const text = "the quick brown fox jumps over the lazy dog 0123456789 "
	b := make([]byte, 0, size+64)
	b = append(b, `{"event_id":"`+id+`","text":"`...)
	for len(b) < size {
		b = append(b, text[:min(len(text), size-len(b))]...)
	}
	return append(b, `"}`...)
}

// Events returns n events of about size bytes, one a line. Their ids begin with a
// text.
func Events(id string, n, size int) []byte {
	b := make([]byte, 0, n*(size+64))
	for i := range n {
		b = append(append(b, Event(fmt.Sprintf("%s-%04d", id, i), size)...), '\n')
	}
	return b
}

// IDOf returns the id of an event, or "".
func IDOf(event json.RawMessage) string {
	var e struct {
		ID string `json:"event_id"`
	}
	_ = json.Unmarshal(event, &e) // without an id it is ""
	return e.ID
}

// Sizes of events, in bytes.
const (
	SmallEvent = 300
	LargeEvent = 100_000
)
