package event

import (
	"bytes"
	"slices"
	"strconv"
)

// Limits of a body of many events.
const (
	MaxLines      = 1000    // events
	MaxLinesBytes = 524_288 // of all of them together after compaction
)

// LineError says which line of a body is refused, and why.
type LineError struct {
	Line int    // from 1; blank lines count
	Err  *Error // its Offset counts from the begin of the line
}

func (e *LineError) Error() string { return e.Err.text("line=" + strconv.Itoa(e.Line) + ", ") }

func (e *LineError) Unwrap() error { return e.Err }

// AcceptLines is Accept for a body that holds an event a line (NDJSON). A line is the
// bare object, without {"event": …} around it. What Accept refuses of a body with this
// event, AcceptLines refuses of the line: the levels of nesting count as if the body
// were around it.
//
// AcceptLines appends the events without the white space between their tokens to dst,
// one behind the other, and an Event for each to events. It returns both as extended.
// On error it returns them as they came, and nothing of the body is accepted.
//
// Lines end with \n; the last one may lack it. A \r, blank or tab at either end of a
// line is white space. Lines of white space alone are passed over.
//
// There may be MaxLines events, and MaxLinesBytes bytes of them. ErrTooMany refuses
// the line that goes beyond either. A body without any event is ErrShape.
//
// The error is a *LineError for the first line in the order of the body that is at
// fault, whatever the lines behind it hold. Within a line ErrSyntax comes before
// ErrShape, that before ErrTooLarge, and that before ErrTooMany. A body without any
// event has no such line: its error is an *Error.
//
// AcceptLines allocates the room that dst and events lack, both at once and at the
// begin, and otherwise what Accept does. body must not overlap dst's spare room.
func AcceptLines(dst, body []byte, events []Event) (list []Event, out []byte, err error) {
	a := acceptors.Get().(*acceptor)
	// The room comes first, as the events are parts of it.
	out = slices.Grow(dst, min(len(body), MaxLinesBytes))
	list = slices.Grow(events, min(bytes.Count(body, newline)+1, MaxLines))
	left := MaxLinesBytes
	var fault *Error
	line := 0
	for rest := body; len(rest) > 0 && fault == nil; {
		text := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			text, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		line++
		if blank(text) {
			continue
		}
		begin := len(out)
		a.resetLine(out, text, left)
		switch fault = a.accept(); {
		case fault != nil:
		case len(list)-len(events) == MaxLines:
			fault = &Error{ErrTooMany, "a body holds at most " + strconv.Itoa(MaxLines) + " events", 0}
		case a.walk.size > left:
			fault = &Error{ErrTooMany, "the events of a body have at most " + strconv.Itoa(MaxLinesBytes) + " bytes together", 0}
		default:
			out = a.walk.dst
			left -= len(out) - begin
			list = append(list, Event{JSON: out[begin:len(out):len(out)], IDOff: uint32(a.walk.idOff)})
		}
	}
	a.reset(nil, nil) // or the pool would keep them
	acceptors.Put(a)
	switch {
	case fault != nil:
		return events, dst, &LineError{line, fault}
	case len(list) == len(events):
		return events, dst, &Error{ErrShape, "the body holds no event", 0}
	}
	return list, out, nil
}

var newline = []byte{'\n'}

// resetLine readies the acceptor for an event without a body around it. No more than
// room bytes of it are kept.
func (a *acceptor) resetLine(dst, line []byte, room int) {
	a.reset(dst, line)
	w := &a.walk
	w.limit = min(MaxBytes, room)
	w.lift, w.events, w.wanted = 1, 1, true // as behind the key "event"
}

// blank says whether a line holds white space alone.
func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
