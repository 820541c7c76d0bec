package cow

import (
	"math/bits"
	"strconv"

	"cowrelay/cow/event"
)

// frame is one event of a stream (WHATWG HTML, "Server-sent events"): the id,
// and the JSON, which has no line breaks, as its data.
type frame struct {
	id   []byte // nil where the frame has no id line
	json []byte
}

var (
	frameIDKey   = []byte("id: ")
	frameDataKey = []byte("\ndata: ") // behind an id
	frameEnd     = []byte("\n\n")
	lineEnd      = []byte("\r\n") // of the head of a transfer chunk, and of its data
)

// Frames go out as they are, or in transfer chunks (RFC 9112, 7.1): one a frame,
// or as many as it takes when chunk and frame would be longer than a piece.
// Those then are as long as a piece, but for the last one.
type form bool

const (
	chunked   form = false
	plain     form = true
	chunkData      = MaxPiece - len("fff8\r\n") - len("\r\n") // bytes of the frame in a chunk as long as a piece
)

// toChunkEnd is how far it is to the end of the chunk that byte off of a long
// frame stands in.
func toChunkEnd(off int) int { return MaxPiece - off%MaxPiece }

// frameOf returns the frame of an event. An id that holds escapes is decoded into buf.
func frameOf(e event.Event, buf []byte) frame {
	id, ok := e.ID(buf)
	if !ok || !resumable(id) {
		id = nil
	}
	return frame{id, e.JSON}
}

// resumable says whether a client that comes back can say the id in a header,
// so that it arrives as it is. An empty one would have it forget where it was,
// blanks at an end are cut off on the way, and a request with a control
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

// bare is how long the frame is without chunks.
func (f frame) bare() int {
	n := len(frameDataKey) - 1 + len(f.json) + len(frameEnd)
	if f.id != nil {
		n += len(frameIDKey) + len(f.id) + 1
	}
	return n
}

// size is how many bytes go out for the frame.
func (f frame) size(as form) int {
	n := f.bare()
	if as == plain {
		return n
	}
	size := n / chunkData * MaxPiece
	if rest := n % chunkData; rest > 0 {
		size += (bits.Len(uint(rest))+3)/4 + len(lineEnd) + rest + len(lineEnd)
	}
	return size
}

// append appends what stands from byte off on of what goes out for the frame,
// as far as dst has room.
func (f frame) append(dst []byte, off int, as form) []byte {
	w := frameWriter{dst: dst, off: off, rest: -1}
	if as == chunked {
		w.rest = f.bare()
	}
	if f.id != nil {
		w.text(frameIDKey)
		w.text(f.id)
		w.text(frameDataKey)
	} else {
		w.text(frameDataKey[1:])
	}
	w.text(f.json)
	w.text(frameEnd)
	return w.dst
}

// frameWriter passes over off bytes and appends what follows.
type frameWriter struct {
	dst  []byte
	off  int
	left int // bytes to the end of the chunk under way
	rest int // bytes of the frame behind it; negative where there are no chunks
}

// text puts a part of the frame, in chunks if that is how it goes out.
func (w *frameWriter) text(part []byte) {
	if w.rest < 0 {
		w.put(part)
		return
	}
	for len(part) > 0 {
		if w.left == 0 {
			w.left = min(w.rest, chunkData)
			w.rest -= w.left
			var room [8]byte
			w.put(appendChunkHead(room[:0], w.left))
		}
		n := min(w.left, len(part))
		w.put(part[:n])
		part = part[n:]
		if w.left -= n; w.left == 0 {
			w.put(lineEnd)
		}
	}
}

func (w *frameWriter) put(part []byte) {
	skip := min(w.off, len(part))
	w.off -= skip
	part = part[skip:]
	w.dst = append(w.dst, part[:min(len(part), cap(w.dst)-len(w.dst))]...)
}

// appendChunkHead appends the line that stands before n bytes of a transfer chunk.
func appendChunkHead(dst []byte, n int) []byte {
	return append(strconv.AppendUint(dst, uint64(n), 16), lineEnd...)
}
