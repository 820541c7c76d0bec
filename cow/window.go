package cow

import (
	"io"
	"sort"
)

// Window is a page of a slot: a JSON array whose events are sub-slices of the
// slot's segments, shared by every reader. It keeps the segments alive, so it
// stays whole whatever is evicted or removed. The zero value is an empty page;
// a Window is reused by the next call that fills it, and must not be used by
// two goroutines at once.
type Window struct {
	parts  [][]byte // each one or more events with commas between them
	events int
	size   int
}

// Events returns how many events the page holds.
func (w *Window) Events() int { return w.events }

// Len returns the length of the JSON array in bytes.
func (w *Window) Len() int { return max(w.size, 2) }

// Reset empties the page and lets go of the segments.
func (w *Window) Reset() {
	clear(w.parts)
	w.parts, w.events, w.size = w.parts[:0], 0, 2
}

// Slices yields the array as the slices that it consists of: brackets, commas,
// and the segments' own bytes. They are valid until Reset.
func (w *Window) Slices(yield func([]byte) bool) {
	if !yield(arrayOpen) {
		return
	}
	for i, p := range w.parts {
		if i > 0 && !yield(arrayComma) || !yield(p) {
			return
		}
	}
	yield(arrayClose)
}

// WriteTo implements io.WriterTo.
func (w *Window) WriteTo(dst io.Writer) (n int64, err error) {
	for p := range w.Slices {
		m, err := dst.Write(p)
		if n += int64(m); err != nil {
			return n, err
		}
	}
	return n, nil
}

var (
	arrayOpen  = []byte{'['}
	arrayComma = []byte{','}
	arrayClose = []byte{']'}
)

// add appends events [i, j) of a segment as far as they fit into maxBytes,
// and returns how many did. The first event of a page always fits.
func (w *Window) add(g *segment, i, j, maxBytes int) int {
	start := int(g.start(i))
	room := maxBytes - w.size
	if w.events > 0 {
		room-- // the comma
	}
	if int(g.refs[j-1].end)-start > room {
		j = i + sort.Search(j-i, func(k int) bool { return int(g.refs[i+k].end)-start > room })
		if j == i {
			if w.events > 0 {
				return 0
			}
			j = i + 1
		}
	}
	part := g.span(i, j)
	if w.events > 0 {
		w.size++
	}
	w.parts = append(w.parts, part)
	w.size += len(part)
	w.events += j - i
	return j - i
}

// Window fills w with the events of the slot that come after the one whose id
// is since, oldest first: at most limit events, at most one page of bytes, but
// at least one event when there is one. An empty or unknown since reads from
// the oldest.
//
// For what is in memory it takes no lock and copies no event. What is not in
// memory is loaded first, which no other reader waits for. Errors: ErrNoSlot
// when the slot was removed, ErrBusy when memory or the store can't serve the
// load now.
func (s *Store) Window(slot *Slot, since []byte, limit int, w *Window) error {
	w.Reset()
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
	end := min(snap.count, pos+uint64(limit))
	epoch := s.budget.epoch.Load()
	for i := snap.find(pos); pos < end; i++ {
		g, err := s.resident(slot, snap, i)
		if err != nil {
			return err
		}
		c := snap.chunks[i]
		if c.used.Load() != epoch {
			c.used.Store(epoch)
		}
		j := min(end, snap.end(i)) - c.first
		n := w.add(g, int(pos-c.first), int(j), s.opts.PageBytes)
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
	found := h.index.find(s.hashID(id), room[:0])
	if len(found) == 0 {
		return 0, nil
	}
	snap := h.snap.Load()
	for _, pos := range found {
		if pos >= snap.count {
			continue // indexed, not yet visible
		}
		i := snap.find(pos)
		g, err := s.resident(slot, snap, i)
		if err != nil {
			return 0, err
		}
		if g.event(int(pos - snap.chunks[i].first)).hasID(id) {
			return pos + 1, nil
		}
	}
	return 0, nil
}

// hasID compares ids without keeping a decoded one.
func (e Event) hasID(id []byte) bool {
	var room [MaxIDBytes]byte
	got, ok := e.ID(room[:0])
	return ok && string(got) == string(id)
}

// resident returns the segment of a chunk, from memory or from the store.
func (s *Store) resident(slot *Slot, snap *snapshot, i int) (*segment, error) {
	c := snap.chunks[i]
	if g := c.seg.Load(); g != nil && g != goneSegment {
		if Invariants {
			g.check()
		}
		return g, nil
	}
	return s.loads.chunk(slot, c)
}
