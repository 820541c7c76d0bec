package cow

import (
	"cmp"
	"slices"
	"sync/atomic"
	"unsafe"

	"cowrelay/cow/event"
	"cowrelay/cow/invariants"
)

// maxChunkBytes is the size that chunks of a long slot have. A larger event
// gets a chunk of its own. It is the unit of eviction and reload: one chunk
// comes back from the store in about a millisecond.
const maxChunkBytes = 256 << 10

// eventRef locates one event in a segment.
type eventRef struct {
	end uint32 // where its JSON ends in data; the next event starts behind the comma there
	id  uint32 // event.Event.IDOff
}

// segment is the bytes of one chunk: events separated by commas, and a table of
// where each ends. The owner of the slot fills it from the front; what a
// snapshot shows of it is frozen (I1).
//
// The data may leave memory without the table, which takes 8 bytes an event:
// so how long a page is can be told of every hot slot, and only the bytes that
// are written next are needed.
type segment struct {
	sum  invariants.Sum // first, as it takes no room there when it is empty
	data []byte         // allocated length; filled as far as the owner's tail says; nil: not in memory
	refs []eventRef     // allocated length likewise
}

// table returns the segment without its data.
func (g *segment) table() *segment { return &segment{refs: g.refs} }

// bytes is what the segment takes in memory.
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

// chunk is the stable handle of a segment: it stays in the slot's list while
// the segment leaves memory and comes back.
type chunk struct {
	first uint64 // position of its first event
	// seg is never nil. The owner stores a new one when the table of a tail
	// outgrows it, before the snapshot that needs it is published; readers load
	// the snapshot first and seg second, so what they see holds at least what
	// their snapshot shows. Eviction and reload exchange a segment and its table
	// alone. When the slot goes cold, goneSegment takes the place of either.
	seg atomic.Pointer[segment]
	// size is the length of the data, events their number, when nothing will be
	// added any more: when the chunk is sealed, or its slot goes cold. They are
	// written before the segment can leave, and read only after it was seen to
	// have left. A reader with an older snapshot may want fewer events.
	size, events uint32
	used         atomic.Uint32 // budget epoch of the last use
}

// chunkBytes is a chunk without its segment: the handle and a pointer to it.
const chunkBytes = int64(unsafe.Sizeof(chunk{})) + 8

// goneSegment stands in the chunks of a slot that went cold, so that a reload
// that was under way can't leave a segment where nobody would count it. It has
// neither data nor a table.
var goneSegment = new(segment)

// resident returns the chunk's segment if its data is in memory, else nil.
func (c *chunk) resident() *segment {
	if g := c.seg.Load(); g.data != nil {
		return g
	}
	return nil
}

// appender builds the chunks of one slot. It belongs to the slot's owner, or
// to the load that has not published yet; nobody else may look at it.
type appender struct {
	chunks []*chunk // append-only: snapshots hold prefixes of the same array
	tail   *segment // of the last chunk
	n      int      // events in the tail
	used   uint32   // bytes in the tail
	count  uint64
	bytes  uint64 // of events, without commas
}

// add copies ev behind everything else and returns by how much memory grew.
// A full chunk is never copied: a new one is begun, as large as the slot is
// long, up to maxChunkBytes, so that a slot of one event stays small and the
// work a post is constant over the life of the slot.
func (a *appender) add(ev event.Event) (grown int64) {
	need := uint32(len(ev.JSON))
	if a.n > 0 {
		need++
	}
	if a.tail == nil || int(a.used+need) > len(a.tail.data) {
		grown += a.begin(len(ev.JSON))
	} else if a.n == len(a.tail.refs) {
		grown += a.widen()
	}
	g := a.tail
	if a.n > 0 {
		g.data[a.used] = ','
		a.used++
	}
	a.used += uint32(copy(g.data[a.used:], ev.JSON))
	g.refs[a.n] = eventRef{end: a.used, id: ev.IDOff}
	a.n++
	a.count++
	a.bytes += uint64(len(ev.JSON))
	return grown
}

// begin seals the tail and starts a chunk that has room for an event of n bytes.
func (a *appender) begin(n int) (grown int64) {
	grown = a.seal()
	size, events := n, 1
	if a.count > 0 && n < maxChunkBytes/4 {
		size = max(n, int(min(max(a.bytes+a.count, 1024), maxChunkBytes)))
		// The table is made for events of the slot's mean size, and a little
		// more, but for a quarter of the slot's events at most, or a table just
		// begun would double what the slot takes an event; widen mends both.
		events = max(1, min(size/int(a.bytes/a.count+1), int(a.count/4)))
	}
	g := &segment{data: newData(size), refs: make([]eventRef, events)}
	c := &chunk{first: a.count}
	c.seg.Store(g)
	a.chunks = append(a.chunks, c)
	a.tail, a.n, a.used = g, 0, 0
	return grown + g.bytes() + chunkBytes
}

// newData allocates the bytes of a segment. Objects below 16 bytes share
// memory with others, and then the collector can't tell when one of them is
// free, which the budget asks of it.
func newData(n int) []byte { return make([]byte, n, max(n, 16)) }

// widen gives the tail a larger table of events by a quarter. The data stays
// where it is: readers of the old table go on with it.
func (a *appender) widen() (grown int64) {
	was := a.tail.bytes()
	refs := make([]eventRef, len(a.tail.refs)+len(a.tail.refs)/4+1)
	copy(refs, a.tail.refs)
	a.tail = &segment{data: a.tail.data, refs: refs}
	a.chunks[len(a.chunks)-1].seg.Store(a.tail)
	return a.tail.bytes() - was
}

// close notes what the last chunk holds, so that it can be loaded again.
func (a *appender) close() {
	if a.tail != nil {
		c := a.chunks[len(a.chunks)-1]
		c.size, c.events = a.used, uint32(a.n)
	}
}

// seal freezes the tail. Unused table space is given back; unused data space
// is less than one event.
func (a *appender) seal() (grown int64) {
	if a.tail == nil {
		return 0
	}
	a.close()
	was := a.tail.bytes()
	g := &segment{data: a.tail.data, refs: a.tail.refs} // readers hold the tail's
	if a.n < len(g.refs) {
		g.refs = slices.Clone(g.refs[:a.n])
	}
	g.sum.Freeze(g.data[:a.used])
	// The tail is always resident: only sealed chunks of a snapshot are evicted.
	a.chunks[len(a.chunks)-1].seg.Store(g)
	return g.bytes() - was
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
