package cow

import (
	"slices"

	"cowrelay/cow/event"
)

// appender builds the chunks of one slot. It belongs to the slot's owner, or to
// the load that has not published yet. Nobody else may look at it.
type appender struct {
	chunks     []*chunk // append-only: snapshots hold prefixes of the same array
	tail       *segment // of the last chunk; nil while there is none
	tailEvents int
	tailBytes  uint32 // of its data
	count      uint64 // events in all
	bytes      uint64 // of them, without commas
}

// add copies ev behind everything else and returns by how many bytes memory grew.
//
// A full chunk is never copied. A new one is begun instead, as large as the slot is
// long, up to maxChunkBytes. So a slot of one event stays small, and a post costs
// the same work over the life of the slot.
func (a *appender) add(ev event.Event) (grown int64) {
	need := uint32(len(ev.JSON))
	if a.tailEvents > 0 {
		need++
	}
	if a.tail == nil || int(a.tailBytes+need) > len(a.tail.data) {
		grown += a.begin(len(ev.JSON))
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
func (a *appender) begin(n int) (grown int64) {
	grown = a.seal()
	size, events := n, 1
	if a.count > 0 && n < maxChunkBytes/4 {
		size = max(n, int(min(max(a.bytes+a.count, 1024), maxChunkBytes)))
		// The table is made for events of the slot's mean size, and a little more.
		// But it has room for a quarter of the slot's events at most: more would
		// double what a slot takes an event, just after a chunk was begun. If
		// either guess is too low, widen corrects it.
		events = max(1, min(size/int(a.bytes/a.count+1), int(a.count/4)))
	}
	g := &segment{data: newData(size), refs: make([]eventRef, events)}
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
