package cow

import (
	"io"
	"sort"

	"cowrelay/cow/invariants"
)

// Window is a page of a slot: a JSON array whose events are sub-slices of the
// slot's segments, shared by every reader. It is a cursor, as a subscriber is:
// it knows which bytes of which chunks the array consists of, and holds none of
// them. Parts gives those that are in memory, Load brings what comes next, Wrote
// moves the cursor. So a page that is not taken keeps nothing in memory.
//
// The bytes are those of the slot when the page was made, whatever is evicted,
// reloaded or added. Only with the slot's removal they are gone: then Load is
// ErrNoSlot, and the page can't be ended.
//
// The zero value is an empty page; a Window is reused by the next call that
// fills it, and must not be used by two goroutines at once.
type Window struct {
	store  *Store
	slot   *Slot
	spans  []span
	events int
	size   int

	at     int      // the cursor: the span it stands at
	off    int      // and the bytes of that span that are written, with what stands before it
	done   int      // bytes written in all
	pinned *segment // what Load brought for the span at the cursor
}

// span is events of one chunk with the commas between them. In the array a
// bracket or a comma stands before it.
type span struct {
	c        *chunk
	from, to uint32 // in the chunk's data
}

// maxParts is how many slices Parts gives at most. One system call takes 1,024
// (IOV_MAX), and something may stand before them.
const maxParts = 512

// Events returns how many events the page holds.
func (w *Window) Events() int { return w.events }

// Len returns the length of the JSON array in bytes.
func (w *Window) Len() int { return max(w.size, len(arrayEmpty)) }

// Left returns how many of them stand behind the cursor.
func (w *Window) Left() int { return w.Len() - w.done }

// Reset empties the page.
func (w *Window) Reset() {
	clear(w.spans)
	*w = Window{spans: w.spans[:0]}
}

var (
	arrayEmpty = []byte("[]")
	arrayOpen  = []byte{'['}
	arrayComma = []byte{','}
	arrayClose = []byte{']'}
)

// part returns what stands off bytes into span i and what is before it, as far
// as it is one slice: a bracket or a comma, or the rest of the span, or the end
// of the array. It is nil where the span is not in memory.
func (w *Window) part(i, off int) []byte {
	switch {
	case len(w.spans) == 0:
		return arrayEmpty[off:]
	case i == len(w.spans):
		return arrayClose[off:]
	case off > 0:
		return w.data(i, off-1)
	case w.data(i, 0) == nil: // or Load would be asked for what is behind the comma
		return nil
	case i == 0:
		return arrayOpen
	}
	return arrayComma
}

func (w *Window) data(i, off int) []byte {
	sp := &w.spans[i]
	g := sp.c.resident()
	if g == nil {
		if i != w.at || w.pinned == nil {
			return nil
		}
		g = w.pinned
	}
	if invariants.Enabled {
		g.sum.Check()
	}
	return g.data[sp.from+uint32(off) : sp.to : sp.to]
}

// Parts appends the slices that come next, as far as they are in memory, and
// not all of them if they are many: brackets, commas, and the segments' own
// bytes. Nothing is appended when the next ones are not in memory: Load brings
// them. It takes no lock. Who is about to wait lets go of the slices first; that
// is what keeps a page that is not taken from filling memory.
func (w *Window) Parts(dst [][]byte) [][]byte {
	if w.Left() == 0 {
		return dst
	}
	most := len(dst) + maxParts
	for i, off := w.at, w.off; i <= len(w.spans) && len(dst) < most; {
		p := w.part(i, off)
		if p == nil {
			break
		}
		dst = append(dst, p)
		if off == 0 && i < len(w.spans) {
			off = 1
		} else {
			i, off = i+1, 0
		}
	}
	return dst
}

// Wrote moves the cursor by n bytes, which Parts has given, and lets go of what
// Load brought.
func (w *Window) Wrote(n int) {
	w.pinned = nil
	w.done += n
	for w.at < len(w.spans) {
		left := 1 + int(w.spans[w.at].to-w.spans[w.at].from) - w.off
		if n < left {
			break
		}
		n -= left
		w.at, w.off = w.at+1, 0
	}
	w.off += n
}

// Load brings what comes next into memory and keeps it until Wrote. It waits
// for the store. Errors are those of Store.Window.
func (w *Window) Load() error {
	if w.at >= len(w.spans) {
		return nil
	}
	g, err := w.store.loaded(w.slot, w.spans[w.at].c)
	w.pinned = g
	return err
}

// WriteTo implements io.WriterTo for writers that don't wait: what is being
// written stays in memory until it is. Errors are those of dst and of Load.
func (w *Window) WriteTo(dst io.Writer) (n int64, err error) {
	for w.Left() > 0 {
		p := w.part(w.at, w.off)
		if p == nil {
			if err := w.Load(); err != nil {
				return n, err
			}
			continue
		}
		m, err := dst.Write(p)
		w.Wrote(m)
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

// add appends events [i, j) of a chunk as far as they fit into maxBytes, and
// returns how many did. The first event of a page always fits. Of g only the
// table is needed.
func (w *Window) add(c *chunk, g *segment, i, j, maxBytes int) int {
	start := g.start(i)
	room := maxBytes - w.size
	if w.events > 0 {
		room-- // the comma
	}
	if int(g.refs[j-1].end-start) > room {
		j = i + sort.Search(j-i, func(k int) bool { return int(g.refs[i+k].end-start) > room })
		if j == i {
			if w.events > 0 {
				return 0
			}
			j = i + 1
		}
	}
	if w.events > 0 {
		w.size++
	}
	end := g.refs[j-1].end
	w.spans = append(w.spans, span{c, start, end})
	w.size += int(end - start)
	w.events += j - i
	return j - i
}

// Window fills w with the events of the slot that come after the one whose id
// is since, oldest first: at most limit events, at most one page of bytes, but
// at least one event when there is one. An empty or unknown since reads from
// the oldest.
//
// For what is in memory it takes no lock and copies no event. What it needs and
// is not in memory is loaded first, which no other reader waits for: the slot,
// the event that since names, and the first bytes of the page, so that what
// can't be read is an error here. What comes behind is loaded when it is its
// turn. Errors: ErrNoSlot when the slot was removed, ErrBusy when memory or the
// store can't serve the load now, ErrClosed; and what a load met. Then w is
// empty.
func (s *Store) Window(slot *Slot, since []byte, limit int, w *Window) error {
	w.Reset()
	err := s.fill(slot, since, limit, w)
	if err == nil && w.events > 0 && w.part(0, 0) == nil {
		// Not kept: who waits before it writes must not hold it meanwhile.
		_, err = s.loaded(slot, w.spans[0].c)
	}
	if err != nil {
		w.Reset()
	}
	return err
}

func (s *Store) fill(slot *Slot, since []byte, limit int, w *Window) error {
	h, err := s.heat(slot)
	if err != nil {
		return err
	}
	pos := uint64(0)
	if len(since) > 0 {
		if pos, err = s.after(slot, h, since); err != nil {
			return err
		}
	}
	// The index was asked first and the snapshot is loaded second: what the
	// index knew is in this snapshot or behind its end.
	snap := h.snap.Load()
	if pos >= snap.count || limit <= 0 {
		return nil
	}
	w.store, w.slot, w.size = s, slot, len(arrayEmpty)
	end := min(snap.count, pos+uint64(limit))
	epoch := s.budget.epoch.Load()
	for i := snap.find(pos); pos < end; i++ {
		c := snap.chunks[i]
		g, err := s.table(slot, c)
		if err != nil {
			return err
		}
		if c.used.Load() != epoch {
			c.used.Store(epoch)
		}
		j := min(end, snap.end(i)) - c.first
		n := w.add(c, g, int(pos-c.first), int(j), s.opts.PageBytes)
		if n < int(c.first+j-pos) {
			return nil // the page is full
		}
		pos += uint64(n)
	}
	return nil
}

// after returns the position behind the event with the given id, or 0 when the
// slot has none.
func (s *Store) after(slot *Slot, h *hot, id []byte) (uint64, error) {
	var room [4]uint64
	found := h.index.Find(s.hashID(id), room[:0])
	if len(found) == 0 {
		return 0, nil
	}
	snap := h.snap.Load()
	for _, pos := range found {
		if pos >= snap.count {
			continue // indexed, not yet visible
		}
		c := snap.chunks[snap.find(pos)]
		g, err := s.loaded(slot, c)
		if err != nil {
			return 0, err
		}
		if g.event(int(pos - c.first)).HasID(id) {
			return pos + 1, nil
		}
	}
	return 0, nil
}

// table returns a segment of the chunk that has the table at least. It is in
// memory unless the slot went cold since the caller saw it hot.
func (s *Store) table(slot *Slot, c *chunk) (*segment, error) {
	if g := c.seg.Load(); g != goneSegment {
		return g, nil
	}
	return s.loads.chunk(slot, c)
}

// loaded returns the segment of a chunk, from memory or from the store.
func (s *Store) loaded(slot *Slot, c *chunk) (*segment, error) {
	if g := c.resident(); g != nil {
		if invariants.Enabled {
			g.sum.Check()
		}
		return g, nil
	}
	return s.loads.chunk(slot, c)
}
