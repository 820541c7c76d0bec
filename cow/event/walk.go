package event

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Existing clients parse with serde_json. It takes an object with this first key
// for something else, and refuses the whole page that holds it.
const rawValueKey = "$serde_json::private::RawValue"

// walk is the state of one call.
type walk struct {
	body, dst []byte
	base      int  // len(dst) at first
	limit     int  // bytes that the event may have; dst gets no more of it
	lift      int  // levels that a body has around this document: 1 for the event of a line
	plain     bool // the body is any document: only the rules for all parsers hold
	top       *top // where the members of a plain document are entered

	start, end int  // of the current token
	mark       int  // in the event: what is in front of it is in dst
	events     int  // keys "event" of the body so far
	inEvent    bool // within the value of the first of them
	wanted     bool // the previous token is the key "event" or "event_id"
	idOff      int
	ended      int     // where the event ends, 0 before that
	names      nameSet // of the top level of the event

	lenient  bool // a repeated key of the event is noted, not refused; see Readable
	repeated bool // there was one

	// The first fault of shape. It waits for the end of the body, where it is
	// certain that there is none of syntax.
	fault *Error

	size int // of the compacted event so far; dst has no more than an event may have
}

// keep appends a piece of the event to what is kept of it.
func (w *walk) keep(piece []byte) {
	if w.size += len(piece); w.size <= w.limit {
		w.dst = append(w.dst, piece...)
	}
}

// key takes a key of an object. depth is that of the object's members in a body.
func (w *walk) key(raw []byte, depth int, first bool) *Error {
	if depth > 2 && !first {
		return nil // no rule is about these
	}
	name := unquote(raw)
	if first && string(name) == rawValueKey {
		return w.syntax("an object begins with a key that clients reserve")
	}
	if w.plain {
		if depth == 1 {
			w.top.key(name)
		}
		return nil
	}
	switch {
	case depth == 1 && string(name) == "event":
		w.wanted = true
		if w.events++; w.events > 1 {
			w.shape(`the key "event" is repeated`)
		}
	case depth == 2 && w.inEvent:
		w.wanted = string(name) == "event_id"
		if !w.names.add(name) {
			if w.lenient {
				w.repeated = true
				if w.wanted { // the last one counts, also if it is no string
					w.idOff = 0
				}
				break
			}
			return w.syntax("a key is repeated at the top level of the event")
		}
	}
	return nil
}

// value takes a token that is not a key. depth is the depth before it in a body.
func (w *walk) value(kind jsontext.Kind, raw []byte, depth int) *Error {
	wanted := w.wanted
	w.wanted = false
	switch {
	case w.plain:
		w.top.value(kind, depth, w.start, w.end)
	case depth == 0 && kind != '{':
		w.shape("the body is not an object")
	case depth == 1 && wanted && kind != '{' && w.lift > 0:
		w.shape("the event is not an object")
	case depth == 1 && wanted && kind != '{':
		w.shape(`"event" is not an object`)
	case depth == 1 && wanted && w.events == 1:
		w.inEvent, w.mark = true, w.start
	case depth == 2 && wanted && kind == '"':
		w.idOff = len(w.dst) - w.base + w.start - w.mark
		if len(unquote(raw)) > MaxIDBytes {
			w.shape(`"event_id" is longer than ` + strconv.Itoa(MaxIDBytes) + " bytes")
		}
	case depth == 2 && w.inEvent && kind == '}':
		w.inEvent, w.ended = false, w.end
		w.keep(w.body[w.mark:w.end])
	}
	if kind == '0' && !finite(raw) {
		return w.syntax("a number is out of range")
	}
	if depth == MaxDepth && (kind == '{' || kind == '[') {
		return w.syntax("nested deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
	return nil
}

func (w *walk) syntax(reason string) *Error {
	return &Error{ErrSyntax, reason, w.start}
}

func (w *walk) shape(reason string) {
	if w.fault == nil {
		w.fault = &Error{ErrShape, reason, w.start}
	}
}
