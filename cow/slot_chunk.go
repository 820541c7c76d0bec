package cow

import (
	"cmp"
	"slices"
	"sync/atomic"
	"unsafe"

	"cowrelay/cow/event"
	"cowrelay/cow/invariants"
)

// maxChunkBytes is the size of the chunks of a long slot. A larger event gets a
// chunk of its own. A chunk is the unit of eviction and reload: it comes back from
// the journal in about a millisecond.
const maxChunkBytes = 256 << 10

// eventRef locates one event in a segment.
type eventRef struct {
	end uint32 // where its JSON ends in data; the next event starts behind the comma there
	id  uint32 // event.Event.IDOff
}

// segment is the bytes of one chunk: events separated by commas, and a table of
// where each ends. The owner of the slot fills it from the front. What a snapshot
// shows of it is frozen (I1).
//
//	data  {"a":1},{"b":2},{"c":3}. . . .    room for what comes
//	refs       7       15      23  . .      and for its ends
//
// The data may leave memory without the table, which takes 8 bytes an event. So
// the length of a page is known for every hot slot, and only the bytes that are
// written next must be loaded.
type segment struct {
	sum  invariants.Sum // first: there it takes no room when it is empty
	data []byte         // filled as far as the owner's appender says; nil: not in memory
	refs []eventRef     // filled likewise; nil in goneSegment alone
}

// table returns the segment without its data.
func (g *segment) table() *segment { return &segment{refs: g.refs} }

// bytes is how many bytes of memory the segment takes.
func (g *segment) bytes() int64 {
	return int64(len(g.data)) + int64(len(g.refs))*int64(unsafe.Sizeof(eventRef{})) + int64(unsafe.Sizeof(*g))
}

// start is the offset of the i-th event.
func (g *segment) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return g.refs[i-1].end + 1
}

// event returns the i-th event, which a snapshot must show.
func (g *segment) event(i int) event.Event {
	end := g.refs[i].end
	return event.Event{JSON: g.data[g.start(i):end:end], IDOff: g.refs[i].id}
}

// span returns the events [i, j) as they stand, commas between them.
func (g *segment) span(i, j int) []byte {
	end := g.refs[j-1].end
	return g.data[g.start(i):end:end]
}

// chunk is the stable handle of a segment: it stays in the slot's list while the
// segment leaves memory and comes back.
//
//	growing --seal--> sealed, in memory --unload--> table only
//	   |                  |      ^                   |     |
//	   |                  |      '-------load--------'     |
//	   '---------------> goneSegment <---------------------'
//	                (the slot goes cold)
//
// The owner of the slot seals and makes it cold, the budget unloads, the loader
// loads.
type chunk struct {
	first uint64 // position of its first event
	// seg is never nil. The owner stores a new one when the tail needs a larger
	// table, before it publishes the snapshot that needs it. Readers load the
	// snapshot first and seg second, so what they see holds at least what their
	// snapshot shows. Eviction and reload exchange a segment for its table and
	// back, by compare-and-swap. When the slot goes cold, goneSegment takes the
	// place of either.
	seg atomic.Pointer[segment]
	// size is the length of the data in bytes, events is how many it holds. They
	// are written when nothing will be added any more (the chunk is sealed, or its
	// slot goes cold), before the segment can leave, and read only after it was
	// seen to have left. A reader with an older snapshot may want fewer events.
	size, events uint32
	usedIn       atomic.Uint32 // epoch of the budget in which it was used last
}

// chunkBytes is a chunk without its segment: the handle and a pointer to it.
const chunkBytes = int64(unsafe.Sizeof(chunk{})) + 8

// goneSegment stands in the chunks of a slot that went cold. So a reload that was
// under way can't leave a segment where nobody would count it. It has neither data
// nor a table.
var goneSegment = new(segment)

// resident returns the chunk's segment if its data is in memory, else nil.
func (c *chunk) resident() *segment {
	if g := c.seg.Load(); g.data != nil {
		return g
	}
	return nil
}

// snapshot is what readers see of a slot. It is immutable, and so is all that
// it shows.
type snapshot struct {
	chunks []*chunk
	count  uint64
	bytes  uint64
}

var emptySnapshot = new(snapshot)

// find returns the index of the chunk that holds pos < s.count.
func (s *snapshot) find(pos uint64) int {
	i, found := slices.BinarySearchFunc(s.chunks, pos, func(c *chunk, pos uint64) int {
		return cmp.Compare(c.first, pos)
	})
	if !found {
		i--
	}
	return i
}

// end is the position behind the last event that the snapshot shows of chunk i.
func (s *snapshot) end(i int) uint64 {
	if i+1 < len(s.chunks) {
		return s.chunks[i+1].first
	}
	return s.count
}
