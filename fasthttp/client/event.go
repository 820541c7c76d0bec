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
//
// A relay that has positions is asked by Pos. ID and Skip then say the same to a
// relay that has none.
type Cursor struct {
	ID   string `json:"id"`
	Skip int    `json:"skip,omitempty"`
	// Pos is the position of the first event behind the cursor. 0: it is not known,
	// unless ID is empty. With an empty ID, Skip is that position.
	Pos uint64 `json:"pos,omitempty"`
}

// After returns the place behind the event with the id.
func After(id string) Cursor { return Cursor{ID: id} }

// At returns the place before the event with the position: At(0) is the beginning.
func At(pos uint64) Cursor { return Cursor{Skip: int(pos)} }

// Position returns the position of the first event behind the cursor, if it is known.
func (c Cursor) Position() (pos uint64, known bool) {
	if c.ID == "" {
		return uint64(c.Skip), true
	}
	return c.Pos, c.Pos > 0
}

func (c Cursor) String() string {
	switch {
	case c.ID == "":
		return fmt.Sprintf("event %d of the slot", c.Skip)
	case c.Skip == 0:
		return fmt.Sprintf("event_id %q", c.ID)
	}
	return fmt.Sprintf("event %d after event_id %q", c.Skip, c.ID)
}

// pass returns the place behind one more event. Some relays can be asked only by id,
// and none by an empty one, so events without an id are counted. next is the
// position behind the event; 0: it is not known.
func (c Cursor) pass(id string, next uint64) Cursor {
	switch {
	case id != "":
		return Cursor{ID: id, Pos: next}
	case c.ID == "" && next > 0:
		return At(next)
	}
	return Cursor{c.ID, c.Skip + 1, next}
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

// splitPage returns the events of a page, without their cursors.
func splitPage(page []byte) ([]Event, error) {
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
		list = append(list, Event{JSON: own, ID: EventID(own)})
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("something stands behind the array")
	}
	return list, nil
}

// place sets the cursors of the events of a page that begins at the cursor. next is
// the position behind the last of them; 0: it is not known.
func place(events []Event, at Cursor, next uint64) Cursor {
	for i := range events {
		var behind uint64
		if next > 0 {
			behind = next - uint64(len(events)-1-i)
		}
		at = at.pass(events[i].ID, behind)
		events[i].Cursor = at
	}
	return at
}
