package frame

import (
	"strconv"

	"cowrelay/cow/event"
)

// MaxPiece is the most bytes of a stream that are written at once.
const MaxPiece = 64 << 10

// Frame is one event of a stream (WHATWG HTML, "Server-sent events"): the id, and
// the JSON, which has no line breaks, as its data. It owns none of these bytes.
type Frame struct {
	id   []byte // nil where the frame has no id line
	json []byte
}

// IDs says what the id lines of a stream are.
type IDs uint8

// The kinds of streams that share frames, and Unread.
const (
	EventIDs  IDs = iota // the events' own ids, where they have one that can be sent back
	Positions            // the events' positions in the slot, for every event
	Kinds                // how many kinds there are

	// Unread is for those who are woken by a slot and read no frames. Nobody
	// encodes any for them.
	Unread = Kinds
)

var (
	idKey   = []byte("id: ")
	dataKey = []byte("\ndata: ") // behind an id
	ending  = []byte("\n\n")
)

// Of returns the frame of the event at pos. A position, or an id that holds escapes,
// is written into buf, which needs room for event.MaxIDBytes.
func Of(e event.Event, pos uint64, ids IDs, buf []byte) Frame {
	if ids == Positions {
		return Frame{strconv.AppendUint(buf[:0], pos, 10), e.JSON}
	}
	id, ok := e.ID(buf)
	if !ok || !resumable(id) {
		id = nil
	}
	return Frame{id, e.JSON}
}

// resumable says whether a client that comes back can send the id in a header, and
// the relay receives it unchanged. An empty id would make the client forget where
// it was, blanks at either end are cut off on the way, and a request with a control
// character is refused.
func resumable(id []byte) bool {
	if len(id) == 0 || id[0] == ' ' || id[len(id)-1] == ' ' {
		return false
	}
	for _, c := range id {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// plainSize is how many bytes the frame takes without transfer chunks.
func (f Frame) plainSize() int {
	n := len(dataKey) - 1 + len(f.json) + len(ending)
	if f.id != nil {
		n += len(idKey) + len(f.id) + 1
	}
	return n
}

// Append appends the frame in the given form, from byte off on, as far as dst has
// room.
func (f Frame) Append(dst []byte, off int, as Form) []byte {
	w := writer{dst: dst, skip: off, rest: -1}
	if as == Chunked {
		w.rest = f.plainSize()
	}
	if f.id != nil {
		w.text(idKey)
		w.text(f.id)
		w.text(dataKey)
	} else {
		w.text(dataKey[1:])
	}
	w.text(f.json)
	w.text(ending)
	return w.dst
}
