package cow

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"cowrelay/cow/event"
	"cowrelay/cow/flight"
	"cowrelay/cow/frame"
)

// ErrNotResident is what Next returns when the events at the cursor are not in
// memory: Load brings them.
var ErrNotResident = errors.New("cow: not in memory")

// Subscriber is a cursor into a slot. It holds no events: what it has not taken
// stays in the slot, so a slow subscriber costs nothing and misses nothing (I6).
//
//	Subscribe --> Next --bytes------> (write them) --> Wrote --> Next ...
//	               ^ |--nothing new-> (Wake comes) ------------> Next
//	               | '--ErrNotResident --> Load ---> Next
//	               '--- all of them in any state: Close, from any goroutine
//
// Next takes the bytes from the frames that all subscribers of the slot share.
// Where these don't reach, it encodes frames from the chunks for this subscriber
// alone: it is behind, or memory had no room for shared frames.
//
// Subscribe makes it and Close ends it. The other methods are for one goroutine at
// a time.
type Subscriber struct {
	store  *Store
	slot   *Slot
	member // in the slot's set
	form   frame.Form

	// The cursor: it stands at the event at position pos, of whose frame off bytes
	// went out already. After a part of a piece, off may reach over several frames.
	pos uint64
	off int
	// Where the cursor goes when all length bytes of the last piece are written.
	next    uint64
	nextOff int
	length  int

	closed atomic.Bool
	oldest uint32 // see Trimmed; 0: its start did not point at what has left
	// loading is closed by Close: Load stores it first and looks at closed second,
	// Close sets closed first and loads it second.
	loading atomic.Pointer[chan struct{}]
	pinned  *segment // what Load brought for pinnedC
	pinnedC *chunk
	partEnd uint64 // if pinnedC is of loader.part: the position behind it, else 0
}

// Subscribe opens a cursor where start says. ids is what the id lines of its frames
// are. From now on waker hears of every event behind the cursor. Only After with an
// id may load the slot here. Errors: ErrNoSlot, ErrTooManyStreams, and those of a
// load.
func (s *Store) Subscribe(slot *Slot, start Start, ids frame.IDs, waker Waker) (*Subscriber, error) {
	sub := &Subscriber{store: s, slot: slot, member: member{waker, ids}}
	if !slot.subs.join(&sub.member, s.opts.StreamsPerSlot) {
		return nil, ErrTooManyStreams
	}
	slot.markStreamed(time.Now())
	s.stats.Subscribers.Add(1)
	// In the set first, the head second: whatever is published from here on
	// either is below this head or wakes us.
	if slot.dead.Load() {
		sub.Close()
		return nil, ErrNoSlot
	}
	first, end := slot.Positions()
	if len(start.id) == 0 {
		sub.pos = start.in(first, end)
		sub.began(first, start.left(first, false))
		return sub, nil
	}
	h, err := s.loads.hot(slot, start.by())
	if err == nil {
		sub.pos, err = s.after(slot, h, start)
	}
	if err != nil {
		sub.Close()
		return nil, err
	}
	first, _ = slot.Positions()
	sub.began(first, start.left(first, sub.pos >= first && sub.pos > 0))
	sub.pos = max(sub.pos, first)
	return sub, nil
}

// Trimmed says what Window.Trimmed says, of the start of the subscriber.
func (sub *Subscriber) Trimmed() (oldest uint64, yes bool) { return uint64(sub.oldest), sub.oldest > 0 }

func (sub *Subscriber) began(first uint64, trimmed bool) {
	if trimmed {
		sub.oldest = uint32(first)
	}
}

// Close takes the subscriber out of its slot at once, and ends a Load that waits.
// It may be called from any goroutine, and again.
func (sub *Subscriber) Close() {
	if sub.closed.Swap(true) {
		return
	}
	sub.slot.markStreamed(time.Now()) // before it leaves: see ReadAt
	if sub.slot.subs.leave(&sub.member) {
		// The owner stores frames first and looks at the set second; we leave the
		// set first and drop the frames second.
		if h := sub.slot.hot.Load(); h != nil {
			sub.store.budget.dropFrames(h, sub.ids)
		}
	}
	sub.store.stats.Subscribers.Add(-1)
	if ended := sub.loading.Load(); ended != nil {
		close(*ended)
	}
}

// Plain makes the frames come without transfer chunks. Each is then encoded for
// this subscriber alone. It must be called before the first Next.
func (sub *Subscriber) Plain() { sub.form = frame.Plain }

// Slot returns the slot that the subscriber reads.
func (sub *Subscriber) Slot() *Slot { return sub.slot }

// Position returns the position of the event at the cursor: all before it went out.
func (sub *Subscriber) Position() uint64 { return sub.pos }

// Behind returns how many events stand behind the cursor.
func (sub *Subscriber) Behind() uint64 {
	first, end := sub.slot.Positions()
	return end - min(max(sub.pos, first), end)
}

// Between says whether the stream stands between two frames.
func (sub *Subscriber) Between() bool { return sub.off == 0 }

// Next returns the bytes that come next on the stream, at most frame.MaxPiece:
// frames of the events behind the cursor. No transfer chunk is broken off, unless a
// part of it was written before. The bytes are the slot's own, shared ones, or they
// are encoded into buf, which must have a capacity of frame.MaxPiece. They stay as
// they are until the next call that uses buf. The cursor moves with Wrote.
//
// Nil: there is nothing new, and Wake will say when there is. Errors: ErrNoSlot
// when the slot is gone, ErrNotResident, and ErrTrimmed when a part of a frame went out
// and its rest has left the slot. A cursor between frames goes on with the oldest event.
func (sub *Subscriber) Next(buf []byte) ([]byte, error) {
	slot := sub.slot
	if slot.dead.Load() {
		return nil, ErrNoSlot
	}
	h := slot.hot.Load()
	if h == nil {
		first, count := uint64(slot.first.Load()), slot.count.Load()
		if !sub.skip(first) {
			return nil, ErrTrimmed
		}
		if sub.pos >= count {
			sub.unpin()
			return nil, nil
		}
		return sub.encodePart(buf[:0:frame.MaxPiece])
	}
	snap := h.snap.Load()
	if sub.pos >= snap.count {
		sub.unpin()
		return nil, nil
	}
	slot.use(sub.store.budget.epoch.Load())
	if sub.off == 0 {
		sub.skip(snap.first)
	}
	if f := sub.shared(h); f.Has(sub.pos) {
		sub.pos, sub.off = f.Skip(sub.pos, sub.off)
		if f.Has(sub.pos) {
			sub.unpin()
			data, next, off := f.Piece(sub.pos, sub.off, snap.count)
			sub.next, sub.nextOff, sub.length = next, off, len(data)
			return data, nil
		}
	}
	if !sub.skip(snap.first) {
		return nil, ErrTrimmed
	}
	if sub.pos >= snap.count {
		return nil, nil
	}
	return sub.encode(snap, buf[:0:frame.MaxPiece])
}

// skip moves a cursor that stands at what has left to the oldest event. False: it stands
// within a frame, whose rest has left too.
func (sub *Subscriber) skip(first uint64) bool {
	if sub.pos >= first {
		return true
	}
	if sub.off > 0 {
		return false
	}
	sub.pos = first
	sub.unpin()
	return true
}

// shared returns the frames that the subscriber reads with others, or nil.
func (sub *Subscriber) shared(h *hot) *frame.Log {
	if sub.form != frame.Chunked || sub.ids >= frame.Kinds {
		return nil
	}
	return h.frames[sub.ids].Load()
}

// encode fills buf with frames from the chunks.
func (sub *Subscriber) encode(snap *snapshot, buf []byte) ([]byte, error) {
	pos, off := sub.pos, sub.off
	stats := &sub.store.stats
	for i := snap.find(pos); pos < snap.count; i++ {
		c := snap.chunks[i]
		g := sub.segment(c)
		if g == nil {
			if len(buf) == 0 {
				return nil, ErrNotResident
			}
			break
		}
		var room [event.MaxIDBytes]byte
		for end := snap.end(i); pos < end; pos++ {
			fr := frame.Of(g.event(int(pos-c.first)), pos, sub.ids, room[:0])
			n := fr.Size(sub.form) - off
			if n <= 0 { // written before, as a part of a piece
				off = -n
				// The cursor moves, or Load would bring this chunk for ever
				// when off has led into the next.
				sub.pos, sub.off = pos+1, off
				continue
			}
			if n > cap(buf)-len(buf) {
				if len(buf) == 0 { // one long frame
					buf = fr.Append(buf[:0:frame.ToChunkEnd(off)], off, sub.form)
					off += len(buf)
				}
				sub.next, sub.nextOff, sub.length = pos, off, len(buf)
				return buf, nil
			}
			buf = fr.Append(buf, off, sub.form)
			off = 0
			stats.FramesReplayed.Add(1)
		}
	}
	sub.next, sub.nextOff, sub.length = pos, 0, len(buf)
	return buf, nil
}

// encodePart fills buf while the slot is cold, from the part that Load brought.
func (sub *Subscriber) encodePart(buf []byte) ([]byte, error) {
	if sub.pos >= sub.partEnd {
		return nil, ErrNotResident
	}
	data, err := sub.encode(&snapshot{chunks: []*chunk{sub.pinnedC}, count: sub.partEnd}, buf)
	if err == nil && len(data) == 0 { // written before, all of it
		err = ErrNotResident
	}
	return data, err
}

// segment returns the segment of a chunk if its bytes are in memory, or were
// brought by Load.
func (sub *Subscriber) segment(c *chunk) *segment {
	if g := c.resident(); g != nil {
		return g
	}
	if sub.pinnedC == c {
		return sub.pinned
	}
	return nil
}

func (sub *Subscriber) unpin() { sub.pinned, sub.pinnedC, sub.partEnd = nil, nil, 0 }

// Wrote moves the cursor by n bytes of the piece that Next returned last.
func (sub *Subscriber) Wrote(n int) {
	if n == sub.length {
		sub.pos, sub.off = sub.next, sub.nextOff
	} else {
		sub.off += n
		// The rest waits for the reader, which may take long. What Load brought
		// stays where memory allows, and does not stay for this.
		sub.unpin()
	}
	sub.length = 0
}

// Load brings the events at the cursor into memory and keeps them for Next. It
// waits for the journal, until the subscriber or the store closes (ErrClosed) or
// Options.LoadTimeout has passed (ErrBusy).
func (sub *Subscriber) Load() error {
	ended := make(chan struct{})
	sub.loading.Store(&ended)
	defer sub.loading.Store(nil)
	if sub.closed.Load() {
		return ErrClosed
	}
	sub.unpin() // it was another chunk
	loads, by := sub.store.loads, flight.By{Client: lineOf(sub.slot), Ended: ended}
	if count := sub.slot.count.Load(); sub.pos < count && sub.pos >= uint64(sub.slot.first.Load()) && worthPart(sub.slot, sub.pos, count, math.MaxInt) {
		return unlessTrimmed(sub.loadPart(count, by))
	}
	h, err := loads.hot(sub.slot, by)
	if err != nil {
		return err
	}
	snap := h.snap.Load()
	if !snap.has(sub.pos) {
		return nil
	}
	c := snap.chunks[snap.find(sub.pos)]
	g, err := loads.segment(sub.slot, c, by)
	if err != nil {
		return unlessTrimmed(err)
	}
	sub.pinned, sub.pinnedC = g, c
	return nil
}

// unlessTrimmed is the error of a Load. What has left can't be loaded: Next passes over it
// as soon as the loop has trimmed the slot.
func unlessTrimmed(err error) error {
	if err == ErrTrimmed {
		return nil
	}
	return err
}

// loadPart is Load for a cold slot that need not become hot for the events from the
// cursor to end.
func (sub *Subscriber) loadPart(end uint64, by flight.By) error {
	list, err := sub.store.loads.part(sub.slot, sub.pos, end, maxChunkBytes, by)
	if err != nil {
		return err
	}
	g, err := sub.store.loads.segment(sub.slot, list[0], by)
	if err == nil {
		sub.pinned, sub.pinnedC = g, list[0]
		sub.partEnd = list[0].first + uint64(list[0].events)
	}
	return err
}

// Start says where in a slot reading begins. The zero value is Oldest.
type Start struct {
	id   []byte // read behind the event with this id, if it is not empty
	pos  uint64
	at   bool // pos was asked for, and is not just the beginning
	back bool // pos counts back from the end

	client uint64 // see For
}

// For says which client reads. Clients take turns where loads wait for one.
func (st Start) For(client uint64) Start {
	st.client = client
	return st
}

func (st Start) by() flight.By { return flight.By{Client: st.client} }

// Oldest reads from the oldest event.
func Oldest() Start { return Start{} }

// Newest reads what comes behind the newest event.
func Newest() Start { return Start{back: true} }

// After reads behind the event with the given id. An empty or unknown id reads from
// the oldest. Start keeps the id.
func After(id []byte) Start { return Start{id: id} }

// From reads from a position. One that lies behind the end is taken for the end:
// there the next event will stand, and a reader that is to miss nothing must be
// there before it.
func From(pos uint64) Start { return Start{pos: pos, at: true} }

// Last reads the newest n events. If the slot has fewer, it reads all.
func Last(n int) Start { return Start{pos: uint64(max(n, 0)), back: true} }

// in returns the position of a start without an id, in a slot whose events stand from
// position first up to below count.
func (st Start) in(first, count uint64) uint64 {
	if !st.back {
		return min(max(st.pos, first), count)
	}
	return count - min(st.pos, count-first)
}

// left says whether the start points at what has left a slot whose oldest event stands at
// first, or may do so. found: the slot has the event that it names.
func (st Start) left(first uint64, found bool) bool {
	if len(st.id) > 0 {
		return first > 0 && !found
	}
	return st.at && st.pos < first
}

// behind says whether the start is a position behind the end of so many events.
func (st Start) behind(count uint64) bool {
	return len(st.id) == 0 && !st.back && st.pos > count
}
