package cow

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/frame"
)

// budget bounds what the slots take in memory: segments with their tables, indexes,
// frames, loads in flight, and the data that was evicted but is not collected yet,
// as a reader may still write it. What others charge counts with it. All sizes are
// in bytes.
//
//	add, reserve --> used --unload, drop--> retired --the collector--> free
//
// Writers only add. Loads reserve, and wait for room. Room is made in the order of
// worth: first the data of sealed chunks that nobody used for a while, then whole
// slots with all their tables, and of these the ones with streams last. A stream of a
// cold slot costs nothing until there is something to send.
//
// The budget remembers a use as the epoch in which it was. A new epoch begins when
// nothing is left that was last used before the epoch just ended. So what was used in
// this epoch or the last one stays, and an epoch lasts as long as it takes to bring in
// about half of what memory holds. A chunk that is read again and again is used in
// each epoch: many chunks that are read once never push it out. A use is one store at
// most, and no list is kept in order.
//
// Up to a quarter of the limit may be retired beside it. A collection costs CPU time
// for all that lives, and on a small machine posts wait for it: so it is not forced
// for each round of eviction, and mostly the runtime's own come first.
type budget struct {
	limit   int64
	used    atomic.Int64  // reachable from slots, or reserved by a load
	retired atomic.Int64  // unlinked, and not collected yet; readers hold it for the time of one write
	epoch   atomic.Uint32 // begins at 1: 0 means "never used"

	kinds [memoryKinds]atomic.Int64 // used, by what holds it

	evictedChunks atomic.Uint64
	evictedSlots  atomic.Uint64
	collections   atomic.Uint64 // that were forced

	collectMu sync.Mutex // one collection at a time; never held together with mu
	kept      int64      // guarded by collectMu: retired when the last one was over
	rest      time.Time  // guarded by collectMu: until when there is none for the same again

	mu   sync.Mutex
	ring []*Slot // guarded by mu: all hot slots, in no order
	hand int     // guarded by mu: where the clock stands in the ring
	went uint64  // guarded by mu: evictedSlots when slots were last asked to go cold
	asks int     // guarded by mu: how often they were asked since

	// askCool asks the commit loop to make whole slots cold. meanwhile does that here
	// and now if the loop waits for the journal.
	askCool   func([]*Slot)
	meanwhile func()
	wake      chan struct{} // of capacity 1: wakes keep
}

// What memory is used for.
const (
	memChunk = iota // segments, their tables and handles
	memIndex
	memFrame
	memSlot // the rest of a hot slot
	memDesk // what Store.Charge counts
	memoryKinds
)

func newBudget(limit int64, askCool func([]*Slot)) *budget {
	b := &budget{limit: limit, askCool: askCool, meanwhile: func() {}, wake: make(chan struct{}, 1)}
	b.epoch.Store(1)
	return b
}

// state returns how much memory is used for what.
func (b *budget) state() Memory {
	b.mu.Lock()
	hot := len(b.ring)
	b.mu.Unlock()
	return Memory{
		Limit: b.limit, Used: b.used.Load(), Retired: b.retired.Load(),
		Chunks: b.kinds[memChunk].Load(), Index: b.kinds[memIndex].Load(), Frames: b.kinds[memFrame].Load(),
		Desk:          b.kinds[memDesk].Load(),
		EvictedChunks: b.evictedChunks.Load(), EvictedSlots: b.evictedSlots.Load(), HotSlots: hot,
	}
}

// add accounts for n bytes that are there already. n may be negative.
func (b *budget) add(kind int, n int64) {
	if n == 0 {
		return
	}
	b.kinds[kind].Add(n)
	if used := b.used.Add(n); n > 0 && used+b.surplus() > b.limit {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// retire accounts for n bytes, of a segment's data and perhaps its table, that left
// their slot. They count until the collector finds that no reader holds the data.
func (b *budget) retire(data []byte, n int64) {
	b.add(memChunk, -n)
	b.retired.Add(n)
	runtime.AddCleanup(&data[0], func(n int64) { b.retired.Add(-n) }, n)
}

// unload takes the data of a segment out of memory and leaves its table. It returns
// how many bytes that frees, 0 if the chunk has changed meanwhile.
func (b *budget) unload(c *chunk, g *segment) int64 {
	if g.left || !c.seg.CompareAndSwap(g, g.table()) {
		return 0
	}
	n := int64(len(g.data))
	b.retire(g.data, n)
	b.evictedChunks.Add(1)
	return n
}

// tryReserve takes n bytes if they are free.
func (b *budget) tryReserve(kind int, n int64) bool {
	for {
		used := b.used.Load()
		if used+b.surplus()+n > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			b.kinds[kind].Add(n)
			return true
		}
	}
}

// reserve takes n bytes for a segment, and makes room if it must. Between two
// attempts it calls wait, and ends with its error. It is for loads, as it may run
// the collector.
func (b *budget) reserve(n int64, wait func() error) error {
	for !b.tryReserve(memChunk, n) {
		if b.evict(n) > 0 {
			continue
		}
		if err := wait(); err != nil {
			return err
		}
	}
	return nil
}

// evict takes so many bytes out of memory that n fit, and a sixteenth of the budget
// beside, if it finds them. It returns how many it found, or 1 if there is room for n
// now for another reason. Whole slots leave when the commit loop gets to it, for
// which evict waits a moment, or at once if that loop waits for the journal.
func (b *budget) evict(n int64) (freed int64) {
	b.collect()
	freed, asked := b.evictOld(n)
	if asked {
		b.meanwhile()
	}
	for range 20 {
		if !asked || b.used.Load()+n+b.surplus() <= b.limit {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	if asked && freed == 0 && b.used.Load()+n+b.surplus() <= b.limit {
		return 1
	}
	return freed
}

// evictOld drops data and asks for slots to go cold until together they are as much
// as evict wants. asked says that slots were asked.
func (b *budget) evictOld(n int64) (freed int64, asked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	goal := b.used.Load() + n - b.limit + b.limit/16 + b.surplus()
	var coming int64 // of slots that were asked
	for round := 0; round < maxAge+1 && freed < goal; round++ {
		epoch := b.epoch.Load()
		for range len(b.ring) {
			if freed >= goal {
				return freed, asked
			}
			freed += b.evictChunks(b.next(), epoch)
		}
		if freed >= goal {
			return freed, asked
		}
		if coming = b.coolSlots(goal-freed, epoch, round == maxAge); coming > 0 {
			asked = true
			if freed+coming >= goal && !b.ignored() {
				return freed, asked
			}
		}
		b.epoch.Add(1)
	}
	return freed, asked
}

// ignored says whether slots were asked to go cold again and again, and none went:
// they may be busy. Then others have to go. mu must be held.
func (b *budget) ignored() bool {
	if went := b.evictedSlots.Load(); went != b.went {
		b.went, b.asks = went, 0
	}
	b.asks++
	return b.asks > maxAsks
}

// maxAge is how many epochs ago something was used that leaves first. maxAsks is how
// often slots are asked to go cold in vain until something else leaves.
const (
	maxAge  = 2
	maxAsks = 16
)

// restFactor is how many times as long as a collection the rest behind it is, but
// longestRest at most: on a busy machine a collection is slow, and loads wait for memory.
const (
	restFactor  = 10
	longestRest = time.Second
)

// old says whether something that was last used in an epoch may leave in another.
func old(usedIn, epoch uint32) bool { return epoch-usedIn >= maxAge }

// slack is how much may be retired beside the limit.
func (b *budget) slack() int64 { return b.limit / 4 }

// loadShare is what the chunks of one load may take where memory is short. Some loads
// run at once, and most of the limit is for what is in use.
func (b *budget) loadShare() int64 { return b.limit / 16 }

// surplus is what is retired beyond that. It counts like what is used.
func (b *budget) surplus() int64 { return max(0, b.retired.Load()-b.slack()) }

// collect runs the collector if more is retired than may be: the data that readers
// still hold is memory all the same, and only the collector knows how much that is.
// What the last collection left is held by readers. So there is none for that alone
// until a while has passed, or all who wait for memory would run one after the other.
// The commit loop, which takes mu when a slot becomes hot or cold, never waits for
// this.
func (b *budget) collect() {
	b.collectMu.Lock()
	defer b.collectMu.Unlock()
	r, begun := b.retired.Load(), time.Now()
	if r <= b.slack() || r < b.kept+b.slack()/2 && begun.Before(b.rest) {
		return
	}
	b.collections.Add(1)
	runtime.GC()
	end := time.Now()
	b.rest = end.Add(min(restFactor*end.Sub(begun), longestRest))
	for range 20 { // cleanups run beside us
		if b.retired.Load() < r {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	b.kept = b.retired.Load()
}

// next moves the hand of the clock. mu must be held.
func (b *budget) next() *Slot {
	if b.hand++; b.hand >= len(b.ring) {
		b.hand = 0
	}
	return b.ring[b.hand]
}

// evictChunks drops the data of the slot's sealed chunks that are old in this epoch,
// and its frames if the slot is. The tail stays: the owner writes to it.
func (b *budget) evictChunks(slot *Slot, epoch uint32) (freed int64) {
	h := slot.hot.Load()
	if h == nil {
		return 0
	}
	if slot.usedIn.Load() != epoch {
		freed += b.dropAllFrames(h)
	}
	chunks := h.snap.Load().chunks
	for i := 0; i < len(chunks)-1; i++ {
		c := chunks[i]
		if g := c.resident(); g != nil && old(c.usedIn.Load(), epoch) {
			freed += b.unload(c, g)
		}
	}
	return freed
}

// dropFrames forgets the frames of one kind of a slot.
func (b *budget) dropFrames(h *hot, ids frame.IDs) (freed int64) {
	frames := &h.frames[ids]
	if f := frames.Load(); f != nil && frames.CompareAndSwap(f, nil) {
		b.add(memFrame, -f.Bytes())
		return f.Bytes()
	}
	return 0
}

// dropAllFrames forgets all frames of a slot.
func (b *budget) dropAllFrames(h *hot) (freed int64) {
	for ids := range frame.Kinds {
		freed += b.dropFrames(h, ids)
	}
	return freed
}

// coolSlots asks for old slots to go cold that together hold goal bytes. It returns
// how many those that it found hold. Slots with streams are among them only if that is
// said: they are read again with the next post. But they must leave in the end, or the
// tails of some hundred such slots would fill a small budget, and nothing else could be
// loaded.
func (b *budget) coolSlots(goal int64, epoch uint32, streamed bool) (asked int64) {
	var slots []*Slot
	for range len(b.ring) {
		slot := b.next()
		h := slot.hot.Load()
		if h == nil || !old(slot.usedIn.Load(), epoch) || !streamed && slot.subs.Load() != nil {
			continue
		}
		slots = append(slots, slot)
		if asked += h.resident(); asked >= goal || len(slots) == 1024 {
			break
		}
	}
	if len(slots) > 0 {
		b.askCool(slots)
	}
	return asked
}

// resident estimates how many bytes going cold would free: tail, sealed segments,
// tables.
func (h *hot) resident() (n int64) {
	for _, c := range h.snap.Load().chunks {
		n += c.seg.Load().bytes()
	}
	return n + hotBytes
}

// letGo gives back what chunks take that a trim took out of their slot. Readers that
// hold them go on with what is in memory. The rest can't be loaded any more.
func (b *budget) letGo(chunks []*chunk) {
	for _, c := range chunks {
		for done := false; !done; { // an eviction or a reload may be faster
			if g := c.seg.Load(); g.data == nil {
				if done = c.seg.CompareAndSwap(g, goneSegment); done {
					b.add(memChunk, -g.bytes())
				}
			} else if done = c.seg.CompareAndSwap(g, &segment{left: true, sum: g.sum, data: g.data, refs: g.refs}); done {
				b.retire(g.data, g.bytes())
			}
		}
	}
	b.add(memChunk, -int64(len(chunks))*chunkBytes)
}

// drop gives back all that a hot part takes. Nothing may be added to it any more.
// Readers that still hold it go on.
func (b *budget) drop(h *hot) {
	b.dropAllFrames(h)
	h.close() // readers may still ask for the tail
	for _, c := range h.chunks {
		if g := c.seg.Swap(goneSegment); g.data != nil {
			b.retire(g.data, g.bytes())
		} else {
			b.add(memChunk, -g.bytes())
		}
	}
	b.add(memIndex, -h.index.Bytes())
	b.add(memChunk, -int64(len(h.chunks))*chunkBytes)
	b.add(memSlot, -hotBytes)
}

// firstHeat makes a cold slot without events hot, or returns nil if somebody
// else just did. Only the owner may call it.
func (b *budget) firstHeat(slot *Slot) *hot {
	h := &hot{version: slot.version}
	h.snap.Store(emptySnapshot)
	if !slot.hot.CompareAndSwap(nil, h) {
		return nil
	}
	b.add(memSlot, hotBytes)
	b.enter(slot)
	return h
}

// cool makes a slot cold. Only the owner may call it, or whoever finds the slot
// dead.
func (b *budget) cool(slot *Slot) {
	h := slot.hot.Swap(nil)
	if h == nil {
		return
	}
	if !slot.dead.Load() {
		slot.version = h.version
	}
	b.leave(slot)
	b.drop(h)
	b.evictedSlots.Add(1)
}

// enter puts a slot that became hot into the ring. leave takes it out.
func (b *budget) enter(slot *Slot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// It may have gone cold since, and left before it entered.
	if slot.ringAt == 0 && slot.hot.Load() != nil {
		b.ring = append(b.ring, slot)
		slot.ringAt = int32(len(b.ring))
	}
}

func (b *budget) leave(slot *Slot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slot.ringAt == 0 {
		return
	}
	last := len(b.ring) - 1
	b.ring[slot.ringAt-1] = b.ring[last]
	b.ring[slot.ringAt-1].ringAt = slot.ringAt
	b.ring[last] = nil
	b.ring = b.ring[:last]
	slot.ringAt = 0
}

// keep evicts whenever writers have gone over the limit, until stop is closed. The
// store runs it on a goroutine of its own.
func (b *budget) keep(stop <-chan struct{}) {
	for {
		select {
		case <-b.wake:
			b.evict(0)
		case <-stop:
			return
		}
	}
}
