package cow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"time"

	"cowrelay/cow/event"
	"cowrelay/cow/flight"
	"cowrelay/cow/index"
)

// loader brings slots and chunks from the journal into memory. All who want the
// same one wait for one load. Few loads run at once, and each reserves its bytes
// before it keeps them. Package flight has the waiting.
//
// Every wait has an end. A request gives up with ErrBusy after Options.LoadTimeout,
// or at once if Options.LoadWaiters wait already. A load gives up if it had no turn
// for as long, or no memory for Options.LoadPatience. When the store closes, all of
// them get ErrClosed.
type loader struct {
	env    loadEnv
	pool   *flight.Pool
	slots  *flight.Group[*Slot, *hot]
	chunks *flight.Group[*chunk, *segment]
	parts  *flight.Group[*reader, []*chunk] // of cold slots; nobody shares these
}

// reader is whoever reads a part of a cold slot.
type reader struct{ _ byte }

// loadEnv is what the loader may touch beside the slots and chunks that it is
// given.
type loadEnv struct {
	journal  Journal
	budget   *budget
	stats    *Stats
	log      *slog.Logger
	seed     maphash.Seed  // of the hashes of ids
	patience time.Duration // how long a load waits for memory, in all

	// recount asks the commit loop to compare the counts of a slot that became hot
	// with what it holds.
	recount func(*Slot)
}

func newLoader(env loadEnv, o *Options) *loader {
	p := flight.NewPool(flight.Limits{
		Turns: o.Loads, Waiters: o.LoadWaiters, Timeout: o.LoadTimeout,
		Busy: ErrBusy, Closed: ErrClosed, Refused: func() { env.stats.LoadsRefused.Add(1) },
	})
	return &loader{env: env, pool: p, slots: flight.NewGroup[*Slot, *hot](p), chunks: flight.NewGroup[*chunk, *segment](p), parts: flight.NewGroup[*reader, []*chunk](p)}
}

// gaveUp says whether an error is of a wait that ended, not of the journal.
func gaveUp(err error) bool { return errors.Is(err, ErrBusy) || errors.Is(err, ErrClosed) }

// coldEmpty is what readers of a cold slot without events see.
var coldEmpty = func() *hot {
	h := new(hot)
	h.snap.Store(emptySnapshot)
	return h
}()

// hot returns the hot part of a slot for reading. It loads the slot if it must, and
// stops waiting with ErrClosed when by.Ended is closed.
func (l *loader) hot(slot *Slot, by flight.By) (*hot, error) {
	if slot.dead.Load() {
		return nil, ErrNoSlot
	}
	slot.use(l.env.budget.epoch.Load())
	if h := slot.hot.Load(); h != nil {
		return h, nil
	}
	if slot.count.Load() == 0 {
		return coldEmpty, nil
	}
	return l.slots.Wait(slot, int64(slot.bytes.Load()), func() (*hot, error) { return l.loadSlot(slot) }, by)
}

// startSlot loads a cold slot without waiting. then is called when that is done.
func (l *loader) startSlot(slot *Slot, then func(error)) {
	l.slots.Start(slot, int64(slot.bytes.Load()), func() (*hot, error) { return l.loadSlot(slot) }, func(_ *hot, err error) { then(err) }, lineOf(slot))
}

// lineOf stands for the clients whose posts or streams wait for a slot. They may be
// many, and one client's may wait for many slots: here each slot has its turn.
func lineOf(slot *Slot) uint64 { return binary.NativeEndian.Uint64(slot.id[:]) } // ids are random

// table returns a segment of the chunk that has at least the table. The table is in
// memory unless the slot went cold since the caller saw it hot.
func (l *loader) table(slot *Slot, c *chunk, by flight.By) (*segment, error) {
	if g := c.seg.Load(); g != goneSegment {
		return g, nil
	}
	return l.reload(slot, c, by)
}

// segment returns the segment of a chunk with its bytes, from memory or from the
// journal. It stops waiting as hot does.
func (l *loader) segment(slot *Slot, c *chunk, by flight.By) (*segment, error) {
	if g := c.resident(); g != nil {
		g.sum.Check()
		return g, nil
	}
	return l.reload(slot, c, by)
}

func (l *loader) reload(slot *Slot, c *chunk, by flight.By) (*segment, error) {
	return l.chunks.Wait(c, maxChunkBytes, func() (*segment, error) { return l.loadChunk(slot, c) }, by)
}

// startChunk loads the bytes of a chunk without waiting. then is called when that
// is done.
func (l *loader) startChunk(slot *Slot, c *chunk, then func(*segment, error)) {
	l.chunks.Start(c, maxChunkBytes, func() (*segment, error) { return l.loadChunk(slot, c) }, then, lineOf(slot))
}

var errFault = errors.New("cow: a fault in a load")

// read has the journal load a slot. It ends between two groups when the store
// closes. A panic, which the content of one slot may bring about, is a load that
// failed: the other slots go on. Its value is not logged, as it may quote an event.
func (l *loader) read(slot *Slot, from uint64, yield func(*Append) error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			l.env.stats.Panics.Add(1)
			l.env.log.Error("panic", "in", "load", "slot", slot.id, "type", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
			err = errFault
		}
	}()
	return l.env.journal.Load(slot.id, from, func(a *Append) error {
		select {
		case <-l.pool.Closing():
			return ErrClosed
		default:
			return yield(a)
		}
	})
}

// gapError says that the journal left something out, or gave it twice.
func gapError(slot *Slot, got, want uint64) error {
	return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, got, want)
}

// patience is for one load that needs memory. The function it returns waits a
// moment, and returns an error if that was the last one.
func (l *loader) patience() func() error {
	var end time.Time // set when the patience is needed first
	return func() error {
		if end.IsZero() {
			end = time.Now().Add(l.env.patience)
		} else if time.Now().After(end) {
			return l.pool.Refuse()
		}
		select {
		case <-l.pool.Closing():
			return ErrClosed
		case <-time.After(2 * time.Millisecond):
			return nil
		}
	}
}

// loadSlot reads a whole slot and makes it hot. Where the budget has no room for
// all of it, the oldest chunks stay out of memory.
func (l *loader) loadSlot(slot *Slot) (*hot, error) {
	if h := slot.hot.Load(); h != nil {
		return h, nil
	}
	b, stats := l.env.budget, l.env.stats
	h, err := l.readSlot(slot)
	if err != nil {
		b.drop(h)
		if !gaveUp(err) && !errors.Is(err, ErrNoSlot) {
			stats.LoadErrors.Add(1)
			l.env.log.Error("cannot load slot", "slot", slot.id, "error", err)
		}
		return nil, err
	}
	h.publish()
	first, count, bytes := h.first, h.count, h.appender.bytes // now: from the exchange on they are the owner's
	stats.SlotLoads.Add(1)
	// While a slot is cold the commit loop appends nothing to it, so what was
	// read is all there is.
	if !slot.hot.CompareAndSwap(nil, h) {
		b.drop(h)
		return slot.hot.Load(), nil
	}
	b.enter(slot)
	if slot.count.Load() != count || slot.bytes.Load() != bytes || uint64(slot.first.Load()) != first {
		l.env.recount(slot)
	}
	if slot.dead.Load() { // removed meanwhile: whoever swaps it out gives its memory back
		b.cool(slot)
		return nil, ErrNoSlot
	}
	return h, nil
}

// readSlot builds the hot part of a slot from the journal. With an error it
// returns what it has built so far.
func (l *loader) readSlot(slot *Slot) (*hot, error) {
	want := slot.count.Load()
	b := &builder{budget: l.env.budget, hot: new(hot), wait: l.patience()}
	h := b.hot
	if err := b.admit(memSlot, hotBytes); err != nil {
		return h, err
	}
	var room [event.MaxIDBytes]byte
	err := l.read(slot, 0, func(a *Append) error {
		if a.Op == OpTrim && len(h.chunks) == 0 {
			h.first, h.count, h.version = a.First, a.First, a.Version
			return nil
		}
		if a.First != h.count {
			return gapError(slot, a.First, h.count)
		}
		for _, ev := range a.Events {
			if id, ok := ev.ID(room[:0]); ok {
				if err := b.admit(memIndex, h.index.Insert(index.Hash(l.env.seed, id), h.count)); err != nil {
					return err
				}
			}
			if err := b.add(ev); err != nil {
				return err
			}
		}
		h.version = a.Version
		return nil
	})
	if err == nil && h.count < want {
		err = fmt.Errorf("cow: slot %s: the journal gave %d events of %d", slot.id, h.count, want)
	}
	return h, err
}

// builder is the load of one slot: it builds a hot part that nobody else sees yet, and
// reserves what that takes.
//
// Where memory is short, a load has a share of it. Beyond that it lets go of its own
// oldest chunks before others have to leave. Without shares, loads of long slots that
// run beside each other push each other's chunks out, and none of them gets on.
type builder struct {
	budget *budget
	hot    *hot
	wait   func() error // for memory; its error ends the load

	chunks int64  // bytes that the chunks take
	shed   int    // so many chunks have only their tables left
	spare  []byte // of a chunk that was let go of, for the next one
}

// add appends an event that the journal gave.
func (b *builder) add(ev event.Event) error {
	grown := b.hot.addIn(ev, &b.spare)
	b.chunks += max(0, grown)
	return b.admit(memChunk, grown)
}

// admit reserves the bytes that the hot part has grown by.
func (b *builder) admit(kind int, grown int64) error {
	if grown <= 0 {
		b.budget.add(kind, grown)
		return nil
	}
	for !b.budget.tryReserve(kind, grown) {
		if b.chunks > b.budget.loadShare() && b.letGo() || b.budget.evict(grown) > 0 || b.letGo() {
			continue
		}
		if err := b.wait(); err != nil {
			b.budget.add(kind, grown) // drop gives it back with the rest
			return err
		}
	}
	return nil
}

// letGo drops the data of the oldest sealed chunk that has it. Nobody has seen that
// data, so it can serve the next chunk, and the collector has nothing to do.
func (b *builder) letGo() bool {
	if b.shed >= len(b.hot.chunks)-1 {
		return false
	}
	c := b.hot.chunks[b.shed]
	g := c.seg.Load()
	b.shed++
	c.seg.Store(g.table())
	n := int64(len(g.data))
	b.chunks -= n
	if b.spare == nil && n == maxChunkBytes {
		b.spare = g.data
		b.budget.add(memChunk, -n)
	} else {
		b.budget.retire(g.data, n)
	}
	b.budget.evictedChunks.Add(1)
	return true
}

// worthPart says whether events [pos, end) of a slot are so small a part of it that
// they are to be read alone while it is cold. most is how many bytes of them are
// wanted. Loading the slot takes memory for all of it, and reads all of it for its
// index, which positions don't need. A slot of one chunk is loaded: that costs less
// than to read its parts again and again.
func worthPart(slot *Slot, pos, end uint64, most int) bool {
	bytes, count := slot.bytes.Load(), slot.Count()
	if bytes <= maxChunkBytes || count == 0 || slot.hot.Load() != nil {
		return false
	}
	return 4*min(bytes/count*(end-pos), uint64(most)) <= bytes
}

// part returns handles of chunks that hold events [pos, end) of a cold slot, as far
// as these and the commas between them fit into most bytes, but at least of one
// event. It reads the journal for their sizes and keeps nothing: segment brings the
// bytes of a handle as often as they are wanted. The handles belong to the caller and
// not to the slot. It stops waiting as hot does.
func (l *loader) part(slot *Slot, pos, end uint64, most int, by flight.By) ([]*chunk, error) {
	if slot.dead.Load() {
		return nil, ErrNoSlot
	}
	return l.parts.Wait(new(reader), int64(most), func() ([]*chunk, error) {
		list, err := l.readPart(slot, pos, end, most)
		switch {
		case err == nil:
			l.env.stats.PartLoads.Add(1)
			return list, nil
		case slot.dead.Load() || errors.Is(err, ErrNoSlot):
			return nil, ErrNoSlot
		case !gaveUp(err) && err != ErrTrimmed:
			l.env.stats.LoadErrors.Add(1)
			l.env.log.Error("cannot load part of slot", "slot", slot.id, "from", pos, "error", err)
		}
		return nil, err
	}, by)
}

func (l *loader) readPart(slot *Slot, pos, end uint64, most int) (list []*chunk, err error) {
	var c *chunk
	next, bytes := pos, 0
	err = l.read(slot, pos, func(a *Append) error {
		if a.Op == OpTrim {
			return ErrTrimmed
		}
		for k, ev := range a.Events {
			if next == end {
				return errEnough
			}
			switch at := a.First + uint64(k); {
			case at < pos:
				continue // as in fill
			case at != next:
				return gapError(slot, at, next)
			}
			n := len(ev.JSON)
			if bytes > 0 && bytes+1+n > most {
				end = next
				return errEnough
			}
			bytes += n
			if c != nil {
				bytes++
			}
			if c == nil || int(c.size)+1+n > maxChunkBytes {
				c = &chunk{first: next}
				c.seg.Store(goneSegment)
				list = append(list, c)
			} else {
				c.size++
			}
			c.size += uint32(n)
			c.events++
			next++
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	if err == nil && next < end {
		err = fmt.Errorf("cow: slot %s: the journal gave events up to %d of %d", slot.id, next, end)
	}
	return list, err
}

// loadChunk reads the bytes of one chunk again: all that was in it when it left,
// even for a request whose snapshot shows less. The segment of a chunk whose slot
// has gone cold serves those who wait for it, and then nobody holds it.
func (l *loader) loadChunk(slot *Slot, c *chunk) (*segment, error) {
	was := c.seg.Load()
	if was.data != nil {
		return was, nil
	}
	b, stats := l.env.budget, l.env.stats
	g, grown := &segment{refs: was.refs}, int64(c.size)
	if was == goneSegment {
		g.refs = make([]eventRef, c.events)
		grown += g.bytes()
	}
	if err := b.reserve(grown, l.patience()); err != nil {
		return nil, err
	}
	g.data = newData(int(c.size))
	if err := l.fill(g, slot, c, was != goneSegment); err != nil {
		b.retire(g.data, grown)
		// The journal knows of a removal before the slot is marked.
		if slot.dead.Load() || errors.Is(err, ErrNoSlot) {
			return nil, ErrNoSlot
		}
		if !gaveUp(err) && err != ErrTrimmed {
			stats.LoadErrors.Add(1)
			l.env.log.Error("cannot load chunk", "slot", slot.id, "error", err)
		}
		return nil, err
	}
	g.sum.Freeze(g.data)
	stats.ChunkLoads.Add(1)
	c.usedIn.Store(b.epoch.Load())
	if was == goneSegment {
		b.retire(g.data, grown)
	} else if !c.seg.CompareAndSwap(was, g) {
		b.retire(g.data, grown) // it went cold meanwhile, and the table with it
	}
	return g, nil
}

// Errors that end a read of the journal early and well.
var (
	errFull   = errors.New("BUG: the chunk is full")
	errEnough = errors.New("BUG: enough read")
)

// fill fills g, a segment of c, from the journal. Where the table is known, what
// comes must fit it.
func (l *loader) fill(g *segment, slot *Slot, c *chunk, known bool) error {
	i, n, filled := 0, int(c.events), 0 // events filled in, of how many; bytes filled in
	err := l.read(slot, c.first, func(a *Append) error {
		if a.Op == OpTrim {
			return ErrTrimmed
		}
		for k, ev := range a.Events {
			pos := a.First + uint64(k)
			switch {
			case pos < c.first:
				continue // a journal may begin with the group that holds c.first
			case pos != c.first+uint64(i):
				return gapError(slot, pos, c.first+uint64(i))
			case i > 0:
				if filled < len(g.data) {
					g.data[filled] = ','
				}
				filled++
			}
			if filled+len(ev.JSON) > len(g.data) {
				return fmt.Errorf("cow: slot %s: position %d is longer than it was", slot.id, pos)
			}
			filled += copy(g.data[filled:], ev.JSON)
			ref := eventRef{end: uint32(filled), id: ev.IDOff}
			if !known {
				g.refs[i] = ref
			} else if g.refs[i] != ref {
				return fmt.Errorf("cow: slot %s: position %d is not what it was", slot.id, pos)
			}
			if i++; i == n {
				return errFull
			}
		}
		return nil
	})
	if err == errFull {
		err = nil
	}
	if err == nil && (i != n || filled != len(g.data)) {
		err = fmt.Errorf("cow: slot %s: chunk at %d came back with %d events of %d", slot.id, c.first, i, n)
	}
	return err
}
