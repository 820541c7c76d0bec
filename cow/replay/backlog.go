package replay

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// chunk is what some entries that follow each other did. The store gets it as one
// batch. A chunk is filled by one cycle after the other, then sealed, applied, and
// used again.
type chunk struct {
	// Written by the cycle that holds the turn, until the chunk is sealed. Nobody
	// else reads these: backlog.publish gives out what a cycle has added.
	buf  []byte // whole entries; the effects point into it
	fx   effects
	keys []uint32 // of fx.groups: the first bytes of each slot's id

	// Guarded by backlog.mu. What the slices hold never changes until the chunk is
	// used again. So a reader that took the slices needs no lock to read them.
	next        *chunk
	first, last uint64 // numbers of the entries, 0 for none
	groups      []Group
	groupKeys   []uint32
	records     []Record
	totals      cow.Totals // with the last entry
	bytes       int64
	since       time.Time // when the first entry came
	filling     bool      // a cycle fills it
	wanted      bool      // to be sealed by the cycle that fills it
	sealed      bool
}

// unapplied is the newest state of a record that the store may not have.
type unapplied struct {
	value   []byte // in the chunk of seq
	version uint64 // 0: deleted
	seq     uint64
}

// backlog is what the log has and the store may not have: a list of chunks, the
// oldest first. A cycle adds behind the last one, the applier takes the first one.
// Between its commit and its batch an entry is seen here and nowhere else.
type backlog struct {
	target int           // of the bytes of a chunk
	limit  int64         // of all chunks
	wake   chan struct{} // for the applier: a chunk was sealed, or got its first entry

	mu         sync.RWMutex
	room       *sync.Cond           // on mu: the backlog got shorter
	head, tail *chunk               // guarded by mu
	bytes      int64                // guarded by mu
	entries    int                  // guarded by mu
	last       uint64               // newest entry that is durable and applied to the state; guarded by mu
	applied    uint64               // newest entry in the store; guarded by mu
	records    map[string]unapplied // guarded by mu
	totals     cow.Totals           // of all entries up to last; guarded by mu
	counted    cow.Totals           // by Count, and in no entry up to last; guarded by mu
	unsent     cow.Totals           // of these, what is in no entry under way; guarded by mu
	free       []*chunk             // to be used again; guarded by mu
	waits      uint64               // of cycles for room; guarded by mu

	// reading counts those that hold slices of chunks. It goes up under mu (for
	// reading), so that drop, which holds mu, misses nobody.
	reading atomic.Int64
	read    func() // takes one away
}

// What an effect takes in memory beside its bytes.
const (
	eventBytes  = int64(unsafe.Sizeof(event.Event{}))
	groupBytes  = int64(unsafe.Sizeof(Group{}) + 4)
	recordBytes = int64(unsafe.Sizeof(Record{}) + unsafe.Sizeof(unapplied{}) + 64)
)

// keptChunks is how many chunks are kept to be used again.
const keptChunks = 4

func (b *backlog) init(limit int64, target int) {
	b.limit, b.target = limit, min(target, int(limit/4))
	b.wake = make(chan struct{}, 1)
	b.room = sync.NewCond(&b.mu)
	b.read = func() { b.reading.Add(-1) }
	b.records = make(map[string]unapplied)
}

// begin returns a chunk with room for an entry. It waits while the backlog is full.
// publish must follow.
func (b *backlog) begin(size int) *chunk {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bytes >= b.limit {
		b.waits++
		for b.bytes >= b.limit {
			b.sealLocked(b.tail)
			b.room.Wait()
		}
	}
	c := b.tail
	if c != nil && !c.sealed && c.last != 0 && len(c.buf)+size > cap(c.buf) {
		b.sealLocked(c)
	}
	if c == nil || c.sealed {
		c = b.freshLocked()
		if b.tail == nil {
			b.head = c
		} else {
			b.tail.next = c
		}
		b.tail = c
	}
	if len(c.buf)+size > cap(c.buf) { // only where it is empty
		c.buf = make([]byte, 0, size)
	}
	c.filling = true
	return c
}

// takeCounted returns what Count has added and no entry under way holds. The caller
// writes it into an entry.
func (b *backlog) takeCounted() (counted cow.Totals) {
	b.mu.Lock()
	defer b.mu.Unlock()
	counted, b.unsent = b.unsent, cow.Totals{}
	return counted
}

func (b *backlog) freshLocked() *chunk {
	if n := len(b.free); n > 0 {
		c := b.free[n-1]
		b.free = b.free[:n-1]
		return c
	}
	return &chunk{buf: make([]byte, 0, b.target)}
}

// publish shows what the newest entry did: it is durable now. It returns what the
// entry did, which is valid until done.
func (b *backlog) publish(c *chunk, seq uint64, totals, counted cow.Totals) (groups []Group, records []Record, done func()) {
	for i := len(c.keys); i < len(c.fx.groups); i++ {
		c.keys = append(c.keys, slotKey(c.fx.groups[i].Slot))
	}
	size := int64(len(c.buf)) + c.fx.apart + int64(len(c.fx.events))*eventBytes + int64(len(c.fx.groups))*groupBytes + int64(len(c.fx.records))*recordBytes
	b.mu.Lock()
	defer b.mu.Unlock()
	groups, records = c.fx.groups[len(c.groups):], c.fx.records[len(c.records):]
	for i := range records {
		r := &records[i]
		b.records[r.Key] = unapplied{r.Value, r.Version, seq}
	}
	if c.last == 0 {
		c.first, c.since = seq, time.Now()
		b.signal()
	}
	b.bytes += size - c.bytes
	b.entries++
	c.last, c.groups, c.groupKeys, c.records, c.totals, c.bytes = seq, c.fx.groups, c.keys, c.fx.records, totals, size
	b.last, b.totals = seq, totals
	b.counted = b.counted.Sub(counted)
	c.filling = false
	if c.wanted || size >= int64(b.target) {
		b.sealLocked(c)
	}
	b.reading.Add(1)
	return groups, records, b.read
}

// slotKey is what tells most slots apart: ids are random.
func slotKey(id cow.ID) uint32 {
	return uint32(id[0]) | uint32(id[1])<<8 | uint32(id[2])<<16 | uint32(id[3])<<24
}

// sealLocked lets the applier take a chunk that holds an entry, now or when the
// cycle that fills it is done.
func (b *backlog) sealLocked(c *chunk) {
	switch {
	case c == nil || c.sealed || c.last == 0:
	case c.filling:
		c.wanted = true
	default:
		c.sealed = true
		b.signal()
	}
}

func (b *backlog) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// next returns the oldest chunk if it is sealed or has waited for patience. Else it
// returns nil and how long it is until then: 0 for until the backlog is signalled.
func (b *backlog) next(patience time.Duration) (*chunk, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.head
	if c == nil || c.last == 0 {
		return nil, 0
	}
	if !c.sealed {
		if wait := patience - time.Since(c.since); wait > 0 {
			return nil, wait
		}
		if b.sealLocked(c); !c.sealed {
			return nil, 0
		}
	}
	return c, 0
}

// drop takes the oldest chunk out of the backlog: the store has it.
func (b *backlog) drop(c *chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range c.records {
		if u, ok := b.records[c.records[i].Key]; ok && u.seq <= c.last {
			delete(b.records, c.records[i].Key)
		}
	}
	if len(b.records) == 0 && len(c.records) > 1024 {
		b.records = make(map[string]unapplied) // a map keeps the room that it had
	}
	b.applied = c.last
	b.bytes -= c.bytes
	b.entries -= int(c.last - c.first + 1)
	if b.head = c.next; b.head == nil {
		b.tail = nil
	}
	b.room.Broadcast()
	// Who reads the chunk has it since before this call: whoever comes later does
	// not find it.
	if b.reading.Load() == 0 && len(b.free) < keptChunks && cap(c.buf) == b.target {
		clear(c.fx.groups)
		clear(c.fx.records)
		clear(c.fx.events)
		*c = chunk{buf: c.buf[:0], keys: c.keys[:0], fx: effects{
			groups: c.fx.groups[:0], records: c.fx.records[:0], events: c.fx.events[:0], producers: c.fx.producers[:0],
		}}
		b.free = append(b.free, c)
	}
}

// span is a chunk as a reader has it.
type span struct {
	first   uint64
	groups  []Group
	keys    []uint32
	records []Record
}

// spans gives the backlog as it is now. done must be called when it is not read any
// more.
func (b *backlog) spans(list []span) (_ []span, done func()) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	b.reading.Add(1)
	for c := b.head; c != nil; c = c.next {
		if c.last != 0 {
			list = append(list, span{c.first, c.groups, c.groupKeys, c.records})
		}
	}
	return list, b.read
}
