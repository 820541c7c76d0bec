package replay

import (
	"context"
	"sync"
	"unsafe"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// feedQueue holds what other relays did until cow has taken it. The follower puts in
// and never waits. So what waits is bounded: beyond the bound an append is told of
// without its events, once for each slot, and cow reads them from the journal.
type feedQueue struct {
	limit int64
	wake  chan struct{} // for the feeder

	mu    sync.Mutex
	on    bool                // Feed was called; guarded by mu
	items []*fedEntry         // the oldest first; guarded by mu
	busy  bool                // the feeder delivers one that it took out; guarded by mu
	bytes int64               // of the items, and of the one that is delivered; guarded by mu
	gaps  map[cow.ID]struct{} // slots with an append without events in items; guarded by mu
	lost  uint64              // appends that were told of without events, or not told of as one was; guarded by mu
}

// fedEntry is what one entry did to slots, in bytes of its own, or barriers that are
// over when all before them was delivered.
type fedEntry struct {
	appends []cow.Append
	events  []event.Event
	buf     []byte
	bytes   int64
	barrier *barrier
}

var fedEntries = sync.Pool{New: func() any { return new(fedEntry) }}

const appendBytes = int64(unsafe.Sizeof(cow.Append{}))

func (q *feedQueue) init(limit int64) {
	q.limit, q.wake, q.gaps = limit, make(chan struct{}, 1), make(map[cow.ID]struct{})
}

func (q *feedQueue) start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.on {
		panic("BUG: second Feed")
	}
	q.on = true
}

// add takes what an entry of another relay did.
func (q *feedQueue) add(groups []Group) {
	if len(groups) == 0 {
		return
	}
	q.mu.Lock()
	on, full := q.on, q.bytes >= q.limit
	q.mu.Unlock()
	if !on {
		return
	}
	f := fedEntries.Get().(*fedEntry)
	if full {
		q.mu.Lock()
		f.fill(groups, q.skipLocked)
		q.mu.Unlock()
	} else {
		f.fill(groups, nil)
	}
	if len(f.appends) == 0 {
		f.free()
		return
	}
	q.push(f)
}

// skipLocked says whether an append need not be told of: one before it, which is told
// of without its events, makes cow read both.
func (q *feedQueue) skipLocked(slot cow.ID) bool {
	q.lost++
	_, told := q.gaps[slot]
	q.gaps[slot] = struct{}{}
	return told
}

// fill copies groups. skip is nil, or there is no room for events: then it says which
// appends are left out.
func (f *fedEntry) fill(groups []Group, skip func(cow.ID) bool) {
	size, events := 0, 0
	if skip == nil {
		for i := range groups {
			events += len(groups[i].Events)
			for k := range groups[i].Events {
				size += len(groups[i].Events[k].JSON)
			}
		}
		if cap(f.buf) < size {
			f.buf = make([]byte, 0, size)
		}
		if cap(f.events) < events {
			f.events = make([]event.Event, 0, events)
		}
	}
	for i := range groups {
		g := &groups[i]
		a := cow.Append{Op: g.Op, Slot: g.Slot, Token: g.Token, Owner: g.Owner, Version: g.Count, First: g.First, PulledAt: g.PulledAt, StreamedAt: g.StreamedAt}
		switch {
		case g.Op == cow.OpTrim:
			a.First, a.Gone = g.Oldest, g.Gone
		case g.Op != cow.OpAppend:
		case skip != nil:
			if skip(g.Slot) {
				continue
			}
		default:
			at := len(f.events)
			for _, e := range g.Events {
				start := len(f.buf)
				f.buf = append(f.buf, e.JSON...)
				f.events = append(f.events, event.Event{JSON: f.buf[start:len(f.buf):len(f.buf)], IDOff: e.IDOff})
			}
			a.Events = f.events[at:len(f.events):len(f.events)]
		}
		f.appends = append(f.appends, a)
	}
	f.bytes = int64(size) + int64(events)*eventBytes + int64(len(f.appends))*appendBytes
}

// free gives an entry back. A large one is dropped.
func (f *fedEntry) free() {
	clear(f.appends)
	clear(f.events)
	*f = fedEntry{appends: f.appends[:0], events: f.events[:0], buf: f.buf[:0]}
	if cap(f.buf) <= 1<<20 {
		fedEntries.Put(f)
	}
}

func (q *feedQueue) push(f *fedEntry) {
	q.mu.Lock()
	q.items = append(q.items, f)
	q.bytes += f.bytes
	q.mu.Unlock()
	signal(q.wake)
}

// pass ends a barrier when all that was added before is delivered.
func (q *feedQueue) pass(b *barrier) {
	q.mu.Lock()
	idle := len(q.items) == 0 && !q.busy
	q.mu.Unlock()
	if idle { // only the caller adds
		close(b.done)
		return
	}
	f := fedEntries.Get().(*fedEntry)
	f.barrier = b
	q.push(f)
}

// next takes the oldest item out, or returns nil.
func (q *feedQueue) next(last *fedEntry) *fedEntry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last != nil {
		q.bytes -= last.bytes
	}
	if q.busy = len(q.items) > 0; !q.busy {
		q.items = nil
		return nil
	}
	f := q.items[0]
	q.items[0] = nil
	q.items = q.items[1:]
	for i := range f.appends {
		if a := &f.appends[i]; a.Op == cow.OpAppend && a.Events == nil {
			delete(q.gaps, a.Slot) // what comes from here on is not in what cow reads then
		}
	}
	return f
}

// run delivers until ctx ends.
func (q *feedQueue) run(ctx context.Context, deliver func(*cow.Append)) {
	var last *fedEntry
	for {
		f := q.next(last)
		if last != nil {
			last.free()
		}
		if last = f; f == nil {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
			}
			continue
		}
		for i := range f.appends {
			if ctx.Err() != nil {
				return
			}
			deliver(&f.appends[i])
		}
		if f.barrier != nil {
			close(f.barrier.done)
		}
	}
}

// state is what Stats shows.
func (q *feedQueue) state() (entries int, bytes int64, lost uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes, q.lost
}
