package cow

import (
	"cmp"
	"slices"
	"unsafe"

	"cowrelay/cow/event"
)

const (
	// MaxPiece is the most bytes of a stream that are written at once.
	MaxPiece     = 64 << 10
	frameLogSize = 1 << 20 // of the newest frames that a slot keeps
)

// frameLog is what live readers of a slot share: the server-sent-event frames
// of its newest events, each encoded once, in transfer chunks. It is an
// immutable view of append-only segments, like a snapshot, and like a segment it
// may leave memory: readers behind it, or without it, encode from the chunks of
// the slot.
type frameLog struct {
	first, end uint64          // positions of the frames held
	segs       []*frameSegment // in order
	bytes      int64
	// n frames and used bytes are in the last segment: where the owner goes on.
	// It stands here, not with the owner, so that whoever drops the log drops
	// all of it.
	n    int
	used uint32
}

type frameSegment struct {
	first uint64
	data  []byte
	ends  []uint32 // where each frame ends
}

func (g *frameSegment) bytes() int64 {
	return int64(len(g.data)) + 4*int64(len(g.ends)) + int64(unsafe.Sizeof(*g)) + 8
}

// appendFrames encodes the events that stand at first and behind, publishes
// the frames, and returns by how much memory grew. Readers never look behind
// the head of the snapshot that they hold, so the frames may be there before
// the snapshot is. Only the owner may call it.
func (h *hot) appendFrames(first uint64, events []event.Event, stats *Stats) (grown int64) {
	old := h.frames.Load()
	next := frameLog{first: first, end: first}
	if old != nil && old.end == first {
		next = *old
	}
	var g *frameSegment
	if len(next.segs) > 0 {
		g = next.segs[len(next.segs)-1]
	}
	var room [event.MaxIDBytes]byte
	for _, ev := range events {
		fr := frameOf(ev, room[:0])
		n := fr.size(chunked)
		if g == nil || int(next.used)+n > len(g.data) || next.n == len(g.ends) {
			size := max(n, int(min(max(next.bytes, 4<<10), MaxPiece)))
			g = &frameSegment{first: next.end, data: make([]byte, size), ends: make([]uint32, size/n)}
			next.n, next.used = 0, 0
			next.segs = append(next.segs, g)
			next.bytes += g.bytes()
		}
		next.used += uint32(len(fr.append(g.data[next.used:next.used:len(g.data)], 0, chunked)))
		g.ends[next.n] = next.used
		next.n++
		next.end++
	}
	stats.FramesEncoded.Add(uint64(len(events)))
	drop := 0
	for next.bytes > frameLogSize && drop < len(next.segs)-1 {
		next.bytes -= next.segs[drop].bytes()
		drop++
	}
	if drop > 0 { // a clone: the old array would keep what was dropped
		next.segs = slices.Clone(next.segs[drop:])
		next.first = next.segs[0].first
	}
	// An eviction takes the log out, and its bytes off the books, by exchanging
	// old for nil.
	if old != nil && h.frames.CompareAndSwap(old, &next) {
		return next.bytes - old.bytes
	}
	h.frames.Store(&next)
	return next.bytes
}

// dropFrames forgets the frames of a slot that nobody streams.
func (b *budget) dropFrames(h *hot) (freed int64) {
	if f := h.frames.Load(); f != nil && h.frames.CompareAndSwap(f, nil) {
		b.add(memFrame, -f.bytes)
		return f.bytes
	}
	return 0
}

// segment returns the index of the segment that holds pos, which the log must hold.
func (f *frameLog) segment(pos uint64) int {
	i, found := slices.BinarySearchFunc(f.segs, pos, func(g *frameSegment, pos uint64) int {
		return cmp.Compare(g.first, pos)
	})
	if !found {
		i--
	}
	return i
}

// start is where the frame of pos begins in the segment.
func (g *frameSegment) start(pos uint64) int {
	if pos == g.first {
		return 0
	}
	return int(g.ends[pos-g.first-1])
}

// skip moves a cursor over the frames that are written already: off bytes from
// the beginning of the one at pos.
func (f *frameLog) skip(pos uint64, off int) (uint64, int) {
	for off > 0 && pos < f.end {
		g := f.segs[f.segment(pos)]
		n := int(g.ends[pos-g.first]) - g.start(pos)
		if off < n {
			break
		}
		pos, off = pos+1, off-n
	}
	return pos, off
}

// piece returns the frames [pos, head) as far as they stand together in one
// segment, beginning off bytes into the first, at most MaxPiece bytes; and the
// cursor behind them. A piece ends between frames unless one frame alone is
// longer than that; then it ends between two chunks.
func (f *frameLog) piece(pos uint64, off int, head uint64) (data []byte, next uint64, nextOff int) {
	i := f.segment(pos)
	g := f.segs[i]
	end := min(f.end, head)
	if i+1 < len(f.segs) {
		end = min(end, f.segs[i+1].first)
	}
	start, stop := g.start(pos)+off, int(g.ends[end-g.first-1])
	if stop-start > MaxPiece { // one long frame
		n := toChunkEnd(off)
		return g.data[start : start+n], pos, off + n
	}
	return g.data[start:stop], end, 0
}
