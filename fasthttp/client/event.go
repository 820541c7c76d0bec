package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is an event of a slot.
type Event struct {
	// JSON is the event as the relay sent it. Events of one page share memory.
	JSON json.RawMessage
	// ID is its event_id, or empty.
	ID string
	// Cursor is the place behind it.
	Cursor Cursor
}

// Cursor is a place in a slot: behind the Skip-th event that follows the event
// with the ID; with an empty ID, behind the Skip-th event of the slot. The zero
// Cursor is the beginning. An ID that the slot does not have counts as the
// beginning too, as everywhere in the protocol.
type Cursor struct {
	ID   string `json:"id"`
	Skip int    `json:"skip,omitempty"`
}

// After returns the place behind the event with the id.
func After(id string) Cursor { return Cursor{ID: id} }

func (c Cursor) String() string {
	switch {
	case c.ID == "":
		return fmt.Sprintf("event %d of the slot", c.Skip)
	case c.Skip == 0:
		return fmt.Sprintf("event_id %q", c.ID)
	}
	return fmt.Sprintf("event %d after event_id %q", c.Skip, c.ID)
}

// pass returns the place behind one more event. A relay can't be asked for an empty
// id, so an event without one is counted.
func (c Cursor) pass(id string) Cursor {
	if id == "" {
		return Cursor{c.ID, c.Skip + 1}
	}
	return Cursor{ID: id}
}

// lenient reads what the relay accepts: below the top level, keys may repeat.
var lenient = jsontext.AllowDuplicateNames(true)

// EventID returns the event_id of an event as the relay sees it: a string at
// the top level. It returns "" for an event without one.
func EventID(event []byte) string {
	dec := jsontext.NewDecoder(bytes.NewBuffer(event), lenient)
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return ""
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadValue()
		if err != nil {
			return ""
		}
		if isEventID(name) {
			t, err := dec.ReadToken()
			if err != nil || t.Kind() != '"' {
				return ""
			}
			return t.String()
		}
		if dec.SkipValue() != nil {
			return ""
		}
	}
	return ""
}

// isEventID compares a key after unescaping.
func isEventID(quoted jsontext.Value) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted) == `"event_id"`
	}
	name, err := jsontext.AppendUnquote(nil, quoted)
	return err == nil && string(name) == "event_id"
}

// splitPage returns the events of a page that begins at the cursor.
func splitPage(page []byte, at Cursor) ([]Event, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(page), lenient)
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '[' {
		return nil, fmt.Errorf("it is no array: %w", err)
	}
	var list []Event
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		end := int(dec.InputOffset())
		own := page[end-len(v) : end : end]
		id := EventID(own)
		at = at.pass(id)
		list = append(list, Event{own, id, at})
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("something stands behind the array")
	}
	return list, nil
}
