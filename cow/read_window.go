package cow

import (
	"io"
	"sort"

	"cowrelay/cow/flight"
	"cowrelay/cow/index"
)

// Window is a page of a slot: a JSON array whose events are sub-slices of the
// slot's segments, shared by every reader. It is a cursor, as a subscriber is: it
// knows which bytes of which chunks the array consists of, and holds none of them.
//
//	Store.Window --> Parts --> (write them) --> Wrote --> Parts ... until Left is 0
//	                   |                          ^
//	                   '- nothing? --> Load ------'
//
// Parts gives the bytes that are in memory, Load brings those that come next, and
// Wrote moves the cursor. So a page that its client does not take keeps nothing in
// memory.
//
// The bytes are those of the slot when the page was made, whatever is evicted,
// reloaded or added. Only when the slot is removed they are gone: then Load returns
// ErrNoSlot, and the rest of the page can't be written.
//
// The zero value is an empty page. A Window is reused by the next call that fills
// it. Two goroutines must not use it at once.
type Window struct {
	loads  *loader
	slot   *Slot
	client uint64 // Start's
	spans  []span
	events int
	size   int // bytes of the array

	next, end uint64 // positions; see Next and End
	oldest    uint64 // see Trimmed
	trimmed   bool   // see Trimmed
	cold      bool   // the chunks are handles that loader.part has made
	missed    bool   // see Missed

	// The cursor: it stands off bytes into spans[at], counted with the bracket or
	// comma before that span. done is how many bytes of the array that makes.
	at     int
	off    int
	done   int
	pinned *segment // what Load brought for the span at the cursor
}

// span is events of one chunk with the commas between them. In the array a
// bracket or a comma stands before it:
//
//	[ span0 , span1 , span2 ]
type span struct {
	c        *chunk
	from, to uint32 // offsets in the chunk's data
}

// maxParts is how many slices Parts gives at most. One system call takes 1,024
// (IOV_MAX), and the head of a reply may stand before them.
const maxParts = 512

// Events returns how many events the page holds.
func (w *Window) Events() int { return w.events }

// Next returns the position behind the last event of the page. If the page is empty,
// that is the position where it would begin. So From(Next()) goes on where the page
// ends, whatever comes meanwhile: it repeats nothing and leaves nothing out.
func (w *Window) Next() uint64 { return w.next }

// End returns the position behind the slot's newest event when the page was made. A
// reader is End-Next events behind.
func (w *Window) End() uint64 { return w.end }

// Trimmed says whether the page's start points at what has left the slot, or may do so: an
// id that the slot does not have, in a slot of which events have left. The page begins
// with the oldest event then, whose position it returns.
func (w *Window) Trimmed() (oldest uint64, yes bool) { return w.oldest, w.trimmed }

// Missed says whether the slot did not have what the page's start names, as far as this
// relay knows: the id, or the event before the position.
func (w *Window) Missed() bool { return w.missed }

// Len returns the length of the JSON array in bytes.
func (w *Window) Len() int { return max(w.size, len(arrayEmpty)) }

// Left returns how many of these bytes stand behind the cursor.
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

// part returns the slice that begins off bytes into span i, counted with the byte
// before the span. That is a bracket or a comma, or the rest of the span, or the
// end of the array. It is nil if the span is not in memory.
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
	g.sum.Check()
	return g.data[sp.from+uint32(off) : sp.to : sp.to]
}

// Parts appends the slices that come next, as far as they are in memory, but at
// most maxParts: brackets, commas, and the segments' own bytes. If the next one is
// not in memory, nothing is appended, and Load brings it. Parts takes no lock.
//
// A caller that is about to wait for its client must drop the slices first, or a
// page that is not taken would fill memory.
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

// Wrote moves the cursor by n bytes that Parts has given, and lets go of what Load
// brought.
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

// Seek moves the cursor to the byte of the array that has n before it.
func (w *Window) Seek(n int) {
	at, pinned := w.at, w.pinned
	w.at, w.off, w.done = 0, 0, 0
	if w.Wrote(n); w.at == at {
		w.pinned = pinned
	}
}

// Run is events that stand side by side. A slot's id, First and Events name its bytes
// for ever (I1, I2), whatever chunks hold them.
type Run struct {
	First  uint64 // position of the first event
	Events int
	Bytes  int // with the commas between the events
}

// Where runs end: before each position that runEvents divides, and behind an event of
// longEvent bytes or more. So equal parts of different pages are equal runs, and a run
// of several events has less than 128 KiB before its last.
const (
	runEvents = 32
	longEvent = 4 << 10
)

// Runs appends the runs that the page consists of, in order: a bracket, then runs with
// commas between them, then a bracket. A chunk that a load has read for this page alone
// is one run. If the slot has gone cold since the page was made, its tables are gone, and
// nothing is appended.
func (w *Window) Runs(dst []Run) []Run {
	was, pos, open := len(dst), w.next-uint64(w.events), false
	for _, sp := range w.spans {
		if w.cold {
			dst = append(dst, Run{sp.c.first, int(sp.c.events), int(sp.c.size)})
			continue
		}
		g := sp.c.seg.Load()
		if g == goneSegment {
			return dst[:was]
		}
		for from := sp.from; from < sp.to; pos++ {
			end := g.refs[pos-sp.c.first].end
			if pos%runEvents == 0 || !open {
				dst = append(dst, Run{First: pos})
			}
			r := &dst[len(dst)-1]
			if r.Events++; r.Events > 1 {
				r.Bytes++
			}
			r.Bytes += int(end - from)
			open = end-from < longEvent
			from = end + 1
		}
	}
	return dst
}

// Load brings the bytes at the cursor into memory and keeps them until Wrote. It
// waits for the journal. Errors are those of Store.Window.
func (w *Window) Load() error {
	if w.at >= len(w.spans) {
		return nil
	}
	g, err := w.loads.segment(w.slot, w.spans[w.at].c, flight.By{Client: w.client})
	w.pinned = g
	return err
}

// WriteTo implements io.WriterTo for writers that don't wait: the bytes that are
// being written stay in memory until dst has them. Errors are those of dst and of
// Load.
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

// Window fills w with the events of the slot from start on, oldest first: at most
// limit events, at most Options.PageBytes, but at least one event if there is one.
//
// If all is in memory, Window takes no lock and copies no event. A small part of a
// cold slot that is read by position is read from the journal alone. Otherwise it first
// loads the slot, the event that start names, and the first bytes of the page, so
// that a page that can't be read is an error here. No other reader waits for that.
// The bytes behind are loaded when it is their turn. Errors: ErrNoSlot when the slot
// was removed, ErrBusy when memory or the journal can't serve the load now,
// ErrClosed; and those of the load itself. With an error w is empty.
func (s *Store) Window(slot *Slot, start Start, limit int, w *Window) error {
	for look := 1; ; look++ {
		w.Reset()
		err := s.page(slot, start, limit, w)
		if err == nil && w.events > 0 && !w.cold && w.part(0, 0) == nil {
			// Not kept: a page that waits before it is written must hold no bytes.
			_, err = s.loads.segment(slot, w.spans[0].c, start.by())
		}
		switch {
		case err == nil:
			return nil
		case err == ErrTrimmed && look < mostLooks: // between the look at the counts and the read
			continue
		case err == ErrTrimmed:
			err = ErrBusy
		}
		w.Reset()
		return err
	}
}

func (s *Store) page(slot *Slot, start Start, limit int, w *Window) error {
	if len(start.id) == 0 && !slot.Hot() {
		if done, err := s.coldPage(slot, start, limit, w); done || err != nil {
			return err
		}
	}
	h, err := s.loads.hot(slot, start.by())
	if err != nil {
		return err
	}
	behind := uint64(0)
	if len(start.id) > 0 {
		if behind, err = s.after(slot, h, start); err != nil {
			return err
		}
		w.missed = behind == 0
	}
	// The index was asked first and the snapshot is loaded second: what the
	// index knew is in this snapshot.
	snap := h.snap.Load()
	pos := max(behind, snap.first)
	if len(start.id) == 0 {
		pos = start.in(snap.first, snap.count)
	}
	w.next, w.end = pos, snap.count
	w.oldest, w.trimmed = snap.first, start.left(snap.first, behind >= snap.first && behind > 0)
	w.missed = w.missed || start.behind(snap.count)
	if pos >= snap.count || limit <= 0 {
		return nil
	}
	w.loads, w.slot, w.client, w.size = s.loads, slot, start.client, len(arrayEmpty)
	end := min(snap.count, pos+uint64(limit))
	epoch := s.budget.epoch.Load()
	for i := snap.find(pos); pos < end; i++ {
		c := snap.chunks[i]
		g, err := s.loads.table(slot, c, start.by())
		if err != nil {
			return err
		}
		if c.usedIn.Load() != epoch {
			c.usedIn.Store(epoch)
		}
		j := min(end, snap.end(i)) - c.first
		n := w.add(c, g, int(pos-c.first), int(j), s.opts.PageBytes)
		w.next += uint64(n)
		if n < int(c.first+j-pos) {
			return nil // the page is full
		}
		pos += uint64(n)
	}
	return nil
}

// coldPage is page for a cold slot, as far as that need not become hot. The counts of
// a cold slot are written before a post is answered, so nothing acknowledged is
// missing. What stands behind them in the journal is not visible yet.
func (s *Store) coldPage(slot *Slot, start Start, limit int, w *Window) (done bool, err error) {
	first, count := slot.Positions()
	pos := start.in(first, count)
	end := min(count, pos+uint64(max(limit, 0)))
	most := s.opts.PageBytes - len(arrayEmpty)
	if pos < end && !worthPart(slot, pos, end, most) {
		return false, nil
	}
	w.next, w.end, w.missed = pos, count, start.behind(count)
	w.oldest, w.trimmed = first, start.left(first, false)
	if pos == end {
		if slot.dead.Load() {
			return true, ErrNoSlot
		}
		return true, nil
	}
	list, err := s.loads.part(slot, pos, end, most, start.by())
	if err != nil {
		return true, err
	}
	w.loads, w.slot, w.client, w.cold = s.loads, slot, start.client, true
	w.size = len(arrayEmpty) + len(list) - 1
	for _, c := range list {
		w.spans = append(w.spans, span{c, 0, c.size})
		w.size += int(c.size)
		w.events += int(c.events)
	}
	w.next += uint64(w.events)
	return true, nil
}

// Holds says whether the slot has an event with this id, as far as memory knows: it
// loads neither the slot nor a chunk for that. So strangers may cause it.
func (s *Store) Holds(slot *Slot, id []byte) bool {
	h := slot.hot.Load()
	if h == nil {
		return false
	}
	pos, _ := s.find(h, id, func(c *chunk) (*segment, error) { return c.resident(), nil })
	return pos > 0
}

// after returns the position behind the event whose id start has, or 0 when the slot
// has none.
func (s *Store) after(slot *Slot, h *hot, start Start) (uint64, error) {
	return s.find(h, start.id, func(c *chunk) (*segment, error) { return s.loads.segment(slot, c, start.by()) })
}

// find is after, with the way to a chunk's segment. It passes over a chunk whose
// segment is nil.
func (s *Store) find(h *hot, id []byte, segmentOf func(*chunk) (*segment, error)) (uint64, error) {
	var room [4]uint64
	found := h.index.Find(index.Hash(s.seed, id), room[:0])
	if len(found) == 0 {
		return 0, nil
	}
	snap := h.snap.Load()
	for _, pos := range found {
		if !snap.has(pos) {
			continue // indexed and not yet visible, or it has left
		}
		c := snap.chunks[snap.find(pos)]
		g, err := segmentOf(c)
		if err != nil {
			return 0, err
		}
		if g != nil && g.event(int(pos-c.first)).HasID(id) {
			return pos + 1, nil
		}
	}
	return 0, nil
}
