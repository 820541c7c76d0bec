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
	left bool           // its slot was trimmed, and nobody counts it any more
	sum  invariants.Sum // not last: there it would take room when it is empty
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

// appender builds the chunks of one slot. It belongs to the slot's owner, or to
// the load that has not published yet. Nobody else may look at it.
type appender struct {
	chunks     []*chunk // append-only: snapshots hold prefixes of the same array
	tail       *segment // of the last chunk; nil while there is none
	tailEvents int
	tailBytes  uint32 // of its data
	first      uint64 // position of the oldest event
	count      uint64 // position behind the newest
	bytes      uint64 // of the events between, without commas
}

// add copies ev behind everything else and returns by how many bytes memory grew.
//
// A full chunk is never copied. A new one is begun instead, as large as the slot is
// long, up to maxChunkBytes. So a slot of one event stays small, and a post costs
// the same work over the life of the slot.
func (a *appender) add(ev event.Event) (grown int64) { return a.addIn(ev, nil) }

// addIn does that too. A new chunk takes the bytes of *spare if they fit, and leaves
// nil there.
func (a *appender) addIn(ev event.Event, spare *[]byte) (grown int64) {
	need := uint32(len(ev.JSON))
	if a.tailEvents > 0 {
		need++
	}
	if a.tail == nil || int(a.tailBytes+need) > len(a.tail.data) {
		grown += a.begin(len(ev.JSON), spare)
	} else if a.tailEvents == len(a.tail.refs) {
		grown += a.widen()
	}
	g := a.tail
	if a.tailEvents > 0 {
		g.data[a.tailBytes] = ','
		a.tailBytes++
	}
	a.tailBytes += uint32(copy(g.data[a.tailBytes:], ev.JSON))
	g.refs[a.tailEvents] = eventRef{end: a.tailBytes, id: ev.IDOff}
	a.tailEvents++
	a.count++
	a.bytes += uint64(len(ev.JSON))
	return grown
}

// begin seals the tail and starts a chunk with room for an event of n bytes.
func (a *appender) begin(n int, spare *[]byte) (grown int64) {
	grown = a.seal()
	size, events := n, 1
	if count := a.count - a.first; count > 0 && n < maxChunkBytes/4 {
		size = max(n, int(min(max(a.bytes+count, 1024), maxChunkBytes)))
		// The table is made for events of the slot's mean size, and a little more.
		// But it has room for a quarter of the slot's events at most: more would
		// double what a slot takes an event, just after a chunk was begun. If
		// either guess is too low, widen corrects it.
		events = max(1, min(size/int(a.bytes/count+1), int(count/4)))
	}
	g := &segment{refs: make([]eventRef, events)}
	if spare != nil && len(*spare) == size {
		g.data, *spare = *spare, nil
	} else {
		g.data = newData(size)
	}
	c := &chunk{first: a.count}
	c.seg.Store(g)
	a.chunks = append(a.chunks, c)
	a.tail, a.tailEvents, a.tailBytes = g, 0, 0
	return grown + g.bytes() + chunkBytes
}

// newData allocates the bytes of a segment. It asks for 16 bytes at least: smaller
// objects share their memory, and then the collector does not see when one of them
// is free, which the budget needs to know.
func newData(n int) []byte { return make([]byte, n, max(n, 16)) }

// widen gives the tail a table that is larger by a quarter. The data stays where it
// is, and readers of the old table go on with that.
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
		c.size, c.events = a.tailBytes, uint32(a.tailEvents)
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
	if a.tailEvents < len(g.refs) {
		g.refs = slices.Clone(g.refs[:a.tailEvents])
	}
	g.sum.Freeze(g.data[:a.tailBytes])
	// The tail is always resident: only sealed chunks of a snapshot are evicted.
	a.chunks[len(a.chunks)-1].seg.Store(g)
	return g.bytes() - was
}

// trim takes the events before a position out of the slot. That is copy-on-write: what
// readers hold stays as it is. A chunk of which some events stay is replaced by a copy of
// these. It returns the chunks that left the slot, and by how many bytes memory grew for
// the copy. A position behind the end becomes the end: there were events that are not
// known here and have left too.
func (a *appender) trim(to uint64) (left []*chunk, grown int64) {
	if to >= a.count {
		a.close()
		left = a.chunks
		*a = appender{first: to, count: to}
		return left, 0
	}
	at := (&snapshot{chunks: a.chunks, count: a.count}).find(to)
	for _, c := range a.chunks[:at] {
		a.bytes -= c.seg.Load().size(0, int(c.events))
	}
	// The list is copied, or its array would keep what has left.
	left, a.first = a.chunks[:at], to
	kept := slices.Clone(a.chunks[at:])
	if c := kept[0]; c.first < to {
		n, isTail := int(to-c.first), len(kept) == 1
		if isTail {
			a.close()
		}
		a.bytes -= c.seg.Load().size(0, n)
		left = append(slices.Clip(left), c)
		kept[0] = c.behind(n, isTail)
		grown = kept[0].seg.Load().bytes() + chunkBytes
		if isTail {
			a.tail, a.tailEvents, a.tailBytes = kept[0].seg.Load(), int(c.events)-n, c.size-(c.seg.Load().start(n))
		}
	}
	a.chunks = kept
	return left, grown
}

// size is how many bytes events [i, j) have, without commas.
func (g *segment) size(i, j int) uint64 {
	if i == j {
		return 0
	}
	return uint64(g.refs[j-1].end-g.start(i)) - uint64(j-i-1)
}

// behind returns a copy of the chunk without its first n events, which are not all. With
// room: also of the room for what comes.
func (c *chunk) behind(n int, room bool) *chunk {
	g := c.seg.Load()
	off := g.start(n)
	k := &chunk{first: c.first + uint64(n), size: c.size - off, events: c.events - uint32(n)}
	k.usedIn.Store(c.usedIn.Load())
	s := &segment{refs: slices.Clone(g.refs[n:])}
	for i := range s.refs {
		s.refs[i].end -= off // those of the room are overwritten
	}
	if g.data != nil {
		size := int(k.size)
		if room {
			size = len(g.data) - int(off)
		}
		s.data = newData(size)
		copy(s.data, g.data[off:c.size])
		if !room {
			s.sum.Freeze(s.data)
		}
	}
	k.seg.Store(s)
	return k
}

// snapshot is what readers see of a slot. It is immutable, and so is all that
// it shows.
type snapshot struct {
	chunks []*chunk
	first  uint64 // position of the oldest event; of the first chunk, if there is one
	count  uint64 // position behind the newest
	bytes  uint64
}

var emptySnapshot = new(snapshot)

// has says whether the snapshot shows an event at a position.
func (s *snapshot) has(pos uint64) bool { return s.first <= pos && pos < s.count }

// find returns the index of the chunk that holds pos, which the snapshot must have.
func (s *snapshot) find(pos uint64) int {
	i, found := slices.BinarySearchFunc(s.chunks, pos, func(c *chunk, pos uint64) int {
		return cmp.Compare(c.first, pos)
	})
	if !found {
		i--
	}
	return i
}

// size returns how many bytes the events have that stand from position from up to below
// to. Not ok: they are not all there, or the slot goes cold.
func (s *snapshot) size(from, to uint64) (bytes uint64, ok bool) {
	if from < s.first || to > s.count {
		return 0, false
	}
	for i := s.find(from); from < to; i++ {
		c, end := s.chunks[i], min(to, s.end(i))
		g := c.seg.Load()
		if g.refs == nil {
			return 0, false
		}
		bytes += g.size(int(from-c.first), int(end-c.first))
		from = end
	}
	return bytes, true
}

// end is the position behind the last event that the snapshot shows of chunk i.
func (s *snapshot) end(i int) uint64 {
	if i+1 < len(s.chunks) {
		return s.chunks[i+1].first
	}
	return s.count
}
