package frame

import (
	"cmp"
	"slices"
	"unsafe"

	"cowrelay/cow/event"
)

const (
	logBytes = 1 << 20                     // of the newest frames that a slot keeps
	ownBytes = int64(unsafe.Sizeof(Log{})) // what a log takes without segments
)

// Log is what the live readers of a slot share whose id lines are of one kind: the
// frames of its newest events, each encoded once, in transfer chunks. It is an immutable view of append-only
// segments, as a snapshot is of chunks:
//
//	        first                                  end
//	events    20 21 22 23 | 24 25 26 | 27 28 29 30 31 . .
//	segments  [ full     ] [ full   ] [ the last      ...]
//	                                   used ^      room for what comes
//
// Append returns a view that shows more. The segments are shared, and what a view
// shows of them never changes.
//
// A segment is as large as the frames that it is made for, and later ones have
// room for half as much as the log holds. So a log of one frame takes little more
// than that frame, and at most about a third of any log is room.
type Log struct {
	first, end uint64     // positions of the frames held
	segs       []*segment // in order
	bytes      int64      // what the segments take in memory
	ids        IDs        // of all frames
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

// newSegment makes a segment for so many frames that together take size bytes.
// What the allocator gives beyond that is room too, except behind a frame that is
// longer than a piece.
func newSegment(first uint64, size, frames int) *segment {
	data, ends := slices.Grow([]byte(nil), size), slices.Grow([]uint32(nil), frames)
	if size <= MaxPiece {
		size = cap(data)
	}
	return &segment{first: first, data: data[:size], ends: ends[:cap(ends)]}
}

// bytes is what the segment takes in memory, with its place in a log.
func (g *segment) bytes() int64 {
	return int64(cap(g.data)) + 4*int64(cap(g.ends)) + segmentBytes + 8
}

const segmentBytes = 64 // of a segment without data and ends, as the allocator rounds it

// Bytes returns what the log takes in memory. A nil log takes nothing.
func (l *Log) Bytes() int64 {
	if l == nil {
		return 0
	}
	return l.bytes + ownBytes
}

// Has says whether the log holds the frame of the event at pos. A nil log holds
// none.
func (l *Log) Has(pos uint64) bool { return l != nil && l.first <= pos && pos < l.end }

// Append encodes the events that stand at first and behind, and returns a log that
// holds them too. l stays as it is. It may be nil, or end somewhere else, or hold
// frames of another kind: then the new log begins at first. One goroutine at a time may append to a log and to those
// that came of it.
func (l *Log) Append(ids IDs, first uint64, events []event.Event) *Log {
	next := &Log{first: first, end: first, ids: ids}
	if l != nil && l.end == first && l.ids == ids {
		*next = *l
	}
	var g *segment
	if len(next.segs) > 0 {
		g = next.segs[len(next.segs)-1]
	}
	var room [event.MaxIDBytes]byte
	for i, ev := range events {
		fr := Of(ev, next.end, ids, room[:0])
		n := fr.Size(Chunked)
		if g == nil || int(next.lastBytes)+n > len(g.data) || next.lastFrames == len(g.ends) {
			size, frames := next.room(events[i:])
			g = newSegment(next.end, size, frames)
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

// room says how large the next segment is to be, and how many frames it is for:
// those of the events that come now, as far as they fit into a piece, and as many
// times that as fit into half of what the log holds.
func (l *Log) room(events []event.Event) (size, frames int) {
	var room [event.MaxIDBytes]byte
	for i, ev := range events {
		n := Of(ev, l.end+uint64(i), l.ids, room[:0]).Size(Chunked)
		if frames > 0 && size+n > MaxPiece {
			break
		}
		size += n
		frames++
	}
	if times := int(min(l.bytes/2, MaxPiece)) / size; times > 1 {
		return size * times, frames * times
	}
	return size, frames
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
