package frame

import (
	"cmp"
	"slices"
	"unsafe"

	"cowrelay/cow/event"
)

const logBytes = 1 << 20 // of the newest frames that a slot keeps

// Log is what the live readers of a slot share: the frames of its newest events,
// each encoded once, in transfer chunks. It is an immutable view of append-only
// segments, as a snapshot is of chunks:
//
//	        first                                  end
//	events    20 21 22 23 | 24 25 26 | 27 28 29 30 31 . .
//	segments  [ full     ] [ full   ] [ the last      ...]
//	                                   used ^      room for what comes
//
// Append returns a view that shows more. The segments are shared, and what a view
// shows of them never changes.
type Log struct {
	first, end uint64     // positions of the frames held
	segs       []*segment // in order
	bytes      int64      // what the segments take in memory
	// Where the owner goes on in the last segment: after lastFrames frames and
	// lastBytes bytes. Both stand here and not with the owner, so that whoever drops
	// the log drops all of it.
	lastFrames int
	lastBytes  uint32
}

// segment is frames that stand together in memory.
type segment struct {
	first uint64 // position of the first
	data  []byte
	ends  []uint32 // where each frame ends in data
}

func (g *segment) bytes() int64 {
	return int64(len(g.data)) + 4*int64(len(g.ends)) + int64(unsafe.Sizeof(*g)) + 8
}

// Bytes returns what the log takes in memory. A nil log takes nothing.
func (l *Log) Bytes() int64 {
	if l == nil {
		return 0
	}
	return l.bytes
}

// Has says whether the log holds the frame of the event at pos. A nil log holds
// none.
func (l *Log) Has(pos uint64) bool { return l != nil && l.first <= pos && pos < l.end }

// Append encodes the events that stand at first and behind, and returns a log that
// holds them too. l stays as it is. It may be nil, or end somewhere else: then the
// new log begins at first. One goroutine at a time may append to a log and to those
// that came of it.
func (l *Log) Append(first uint64, events []event.Event) *Log {
	next := &Log{first: first, end: first}
	if l != nil && l.end == first {
		*next = *l
	}
	var g *segment
	if len(next.segs) > 0 {
		g = next.segs[len(next.segs)-1]
	}
	var room [event.MaxIDBytes]byte
	for _, ev := range events {
		fr := Of(ev, room[:0])
		n := fr.Size(Chunked)
		if g == nil || int(next.lastBytes)+n > len(g.data) || next.lastFrames == len(g.ends) {
			size := max(n, int(min(max(next.bytes, 4<<10), MaxPiece)))
			g = &segment{first: next.end, data: make([]byte, size), ends: make([]uint32, size/n)}
			next.lastFrames, next.lastBytes = 0, 0
			next.segs = append(next.segs, g)
			next.bytes += g.bytes()
		}
		next.lastBytes += uint32(len(fr.Append(g.data[next.lastBytes:next.lastBytes:len(g.data)], 0, Chunked)))
		g.ends[next.lastFrames] = next.lastBytes
		next.lastFrames++
		next.end++
	}
	next.trim()
	return next
}

// trim drops the oldest segments of a log that has grown too long.
func (l *Log) trim() {
	drop := 0
	for l.bytes > logBytes && drop < len(l.segs)-1 {
		l.bytes -= l.segs[drop].bytes()
		drop++
	}
	if drop > 0 { // a clone: the old array would keep what was dropped
		l.segs = slices.Clone(l.segs[drop:])
		l.first = l.segs[0].first
	}
}

// find returns the index of the segment that holds pos, which the log must hold.
func (l *Log) find(pos uint64) int {
	i, found := slices.BinarySearchFunc(l.segs, pos, func(g *segment, pos uint64) int {
		return cmp.Compare(g.first, pos)
	})
	if !found {
		i--
	}
	return i
}

// start is where the frame of pos begins in the segment.
func (g *segment) start(pos uint64) int {
	if pos == g.first {
		return 0
	}
	return int(g.ends[pos-g.first-1])
}

// Skip moves a cursor over the frames that are written already: off bytes, counted
// from the beginning of the frame at pos.
func (l *Log) Skip(pos uint64, off int) (uint64, int) {
	for off > 0 && pos < l.end {
		g := l.segs[l.find(pos)]
		n := int(g.ends[pos-g.first]) - g.start(pos)
		if off < n {
			break
		}
		pos, off = pos+1, off-n
	}
	return pos, off
}

// Piece returns the frames [pos, head) as far as they stand together in one
// segment, beginning off bytes into the first, at most MaxPiece bytes; and the
// cursor behind them. A piece ends between two frames. Only where one frame is
// longer than a piece, it ends between two chunks of that frame.
func (l *Log) Piece(pos uint64, off int, head uint64) (data []byte, next uint64, nextOff int) {
	i := l.find(pos)
	g := l.segs[i]
	end := min(l.end, head)
	if i+1 < len(l.segs) {
		end = min(end, l.segs[i+1].first)
	}
	start, stop := g.start(pos)+off, int(g.ends[end-g.first-1])
	if stop-start > MaxPiece { // one long frame
		n := ToChunkEnd(off)
		return g.data[start : start+n], pos, off + n
	}
	return g.data[start:stop], end, 0
}
