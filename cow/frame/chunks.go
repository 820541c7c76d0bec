package frame

import (
	"math/bits"
	"strconv"
)

// Form says how frames go out: in transfer chunks (RFC 9112, 7.1), or as they are.
//
// A frame takes one chunk if both together fit into a piece. A longer frame takes
// several, and each but the last fills a piece exactly, head and line ends included:
//
//	fff8\r\n <65,528 bytes> \r\n   a piece
//	fff8\r\n <65,528 bytes> \r\n   a piece
//	1c3\r\n  <451 bytes>    \r\n   the rest, shorter
type Form bool

// The forms.
const (
	Chunked Form = false
	Plain   Form = true
)

// fullChunk is how many bytes of the frame stand in a chunk that fills a piece.
const fullChunk = MaxPiece - len("fff8\r\n") - len("\r\n")

var lineEnd = []byte("\r\n") // behind the head of a chunk, and behind its data

// ToChunkEnd returns how many bytes of a long frame in chunks stand from byte off
// to the end of the chunk that off is in.
func ToChunkEnd(off int) int { return MaxPiece - off%MaxPiece }

// Size returns how many bytes go out for the frame.
func (f Frame) Size(as Form) int {
	n := f.plainSize()
	if as == Plain {
		return n
	}
	size := n / fullChunk * MaxPiece
	if rest := n % fullChunk; rest > 0 {
		size += (bits.Len(uint(rest))+3)/4 + len(lineEnd) + rest + len(lineEnd)
	}
	return size
}

// writer passes over some bytes of a frame and appends those that follow.
type writer struct {
	dst  []byte
	skip int // bytes to pass over
	left int // bytes to the end of the current chunk
	rest int // bytes of the frame behind that chunk; negative where there are no chunks
}

// text takes a part of the frame, and puts it into chunks if that is the form.
func (w *writer) text(part []byte) {
	if w.rest < 0 {
		w.put(part)
		return
	}
	for len(part) > 0 {
		if w.left == 0 {
			w.left = min(w.rest, fullChunk)
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

func (w *writer) put(part []byte) {
	skip := min(w.skip, len(part))
	w.skip -= skip
	part = part[skip:]
	w.dst = append(w.dst, part[:min(len(part), cap(w.dst)-len(w.dst))]...)
}

// appendChunkHead appends the line that stands before n bytes of a transfer chunk.
func appendChunkHead(dst []byte, n int) []byte {
	return append(strconv.AppendUint(dst, uint64(n), 16), lineEnd...)
}
