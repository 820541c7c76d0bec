package cow

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"cowrelay/cow/event"
	"cowrelay/cow/frame"
)

// A slot that goes cold between its load and its entry into the ring of hot
// slots left the ring before it was in it. It must not stay there for good.
func TestBudget_RingHoldsHotSlotsOnly(t *testing.T) {
	s, slot, _ := bareSlot()
	b := s.budget
	slot.hot.Store(nil)
	b.leave(slot)
	b.enter(slot)
	if len(b.ring) != 0 {
		t.Fatal("a cold slot is in the ring")
	}
	var slots []*Slot
	for range 5 {
		_, hot, _ := bareSlot()
		slots = append(slots, hot)
		b.enter(hot)
		b.enter(hot)
	}
	for _, i := range []int{1, 4, 0, 1, 3} {
		b.leave(slots[i])
		for k, at := range b.ring {
			if int(at.ringAt) != k+1 {
				t.Fatalf("the slot at %d believes to be at %d", k, at.ringAt-1)
			}
		}
	}
	if len(b.ring) != 1 || b.ring[0] != slots[2] {
		t.Fatalf("%d slots in the ring", len(b.ring))
	}
}

// Sealed chunks leave by age, the tail never: it has no copy that a reader
// could get without waiting, and the owner writes to it.
func TestBudget_EvictsSealedChunksOnly(t *testing.T) {
	s, slot, h := bareSlot()
	for i := range 3000 {
		s.budget.add(memChunk, h.add(event.Event{JSON: fmt.Appendf(nil, `{"n":%d,"p":"%0300d"}`, i, i)}))
	}
	h.publish()
	chunks := h.snap.Load().chunks
	if len(chunks) < 5 {
		t.Fatalf("%d chunks", len(chunks))
	}
	s.budget.epoch.Add(maxAge)
	chunks[2].usedIn.Store(s.budget.epoch.Load()) // used just now
	before := s.budget.used.Load()
	freed := s.budget.evictChunks(slot, s.budget.epoch.Load())
	for i, c := range chunks {
		if resident, want := c.resident() != nil, i == 2 || i == len(chunks)-1; resident != want {
			t.Errorf("chunk %d of %d in memory: %v, want %v", i, len(chunks), resident, want)
		}
	}
	if got := before - s.budget.used.Load(); got != freed || freed == 0 {
		t.Errorf("%d bytes freed, %d taken off the books", freed, got)
	}
}

// wrapped is a short frame in its transfer chunk.
func wrapped(frame string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(frame), frame) }

// I4: frames are there before the snapshot that shows their events is. Nobody
// is given one that is not visible yet.
func TestFrames_I4_NothingBehindTheHead(t *testing.T) {
	s, slot, h := bareSlot()
	sub := &Subscriber{store: s, slot: slot}
	var stats Stats
	for i := range uint64(20) {
		ev := event.Event{JSON: fmt.Appendf(nil, `{"n":%d}`, i)}
		h.add(ev)
		h.appendFrames(frame.EventIDs, i, []event.Event{ev}, &stats)
		if data, err := sub.Next(nil); data != nil || err != nil {
			t.Fatalf("I4: %q (%v) is given before it is visible", data, err)
		}
		if i > 0 { // from behind too
			again := &Subscriber{store: s, slot: slot, pos: i - 1}
			data, _ := again.Next(nil)
			if want := wrapped(fmt.Sprintf("data: {\"n\":%d}\n\n", i-1)); string(data) != want {
				t.Fatalf("I4: %q, want %q", data, want)
			}
		}
		h.publish()
		data, err := sub.Next(nil)
		if want := wrapped("data: " + string(ev.JSON) + "\n\n"); string(data) != want || err != nil {
			t.Fatalf("%q (%v), want %q", data, err, want)
		}
		sub.Wrote(len(data))
	}
}

// A collection is not forced for each round of eviction: only when a quarter of the
// limit has left memory since the last one. What readers hold counts beyond that.
func TestBudget_CollectsRarely(t *testing.T) {
	const limit, part = 16 << 20, 256 << 10
	b := newBudget(limit, func([]*Slot) {})
	retire := func(n int) (held [][]byte) {
		for range n {
			data := make([]byte, part)
			b.add(memChunk, part)
			b.retire(data, part)
			b.collect()
			held = append(held, data)
		}
		return held
	}
	const n = 400
	for range n {
		forced := b.collections.Load()
		retire(1) // nobody holds it
		if b.collections.Load() == forced {
			continue
		}
		// What a collection found is counted a little later, on a busy machine much
		// later. The last part may still have been held.
		for end := time.Now().Add(time.Minute); b.retired.Load() > part; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d bytes are retired after a collection, and at most %d held", b.retired.Load(), part)
			}
		}
	}
	if got, most := b.collections.Load(), uint64(n*part/b.slack()+1); got > most {
		t.Errorf("%d collections were forced for %d MB, want at most %d", got, n*part>>20, most)
	}
	if b.used.Load() != 0 {
		t.Errorf("%d bytes are used", b.used.Load())
	}
	// Held data beyond the quarter takes from what is used.
	held := retire(limit / 2 / part)
	for end := time.Now().Add(time.Minute); b.retired.Load() > limit/2; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(end) {
			t.Fatalf("%d bytes are retired, and %d held", b.retired.Load(), limit/2)
		}
	}
	if got := b.surplus(); got != limit/4 {
		t.Errorf("a surplus of %d bytes, want %d", got, limit/4)
	}
	// There is no collection for these alone until a while has passed, but one for what
	// comes.
	forced := b.collections.Load()
	b.kept, b.rest = b.retired.Load(), time.Now().Add(time.Hour)
	if b.collect(); b.collections.Load() != forced {
		t.Error("a collection was forced for what is held")
	}
	b.kept -= b.slack() / 2
	if b.collect(); b.collections.Load() != forced+1 {
		t.Error("no collection was forced for what came")
	}
	b.kept, b.rest = b.retired.Load(), time.Now()
	if b.collect(); b.collections.Load() != forced+2 {
		t.Error("no collection was forced after a while")
	}
	if b.tryReserve(memChunk, limit*3/4+1) || !b.tryReserve(memChunk, limit*3/4) {
		t.Error("the surplus does not take from the limit")
	}
	runtime.KeepAlive(held)
}

// While old slots are asked to go cold, what is in use stays. If none goes, as posts
// need them, something else leaves after some time: a load must not wait for them.
func TestBudget_SlotsThatCannotGoCold(t *testing.T) {
	s, slot, h := bareSlot()
	b := s.budget
	asked := 0
	b.askCool = func(slots []*Slot) { asked += len(slots) }
	for i := range 3000 {
		b.add(memChunk, h.add(event.Event{JSON: fmt.Appendf(nil, `{"n":%d,"p":"%0300d"}`, i, i)}))
	}
	h.publish()
	_, busy, tail := bareSlot()
	b.add(memChunk, tail.add(event.Event{JSON: fmt.Appendf(nil, `{"p":"%0250000d"}`, 1)}))
	tail.publish()
	for _, x := range []*Slot{slot, busy} {
		b.leave(x)
		b.enter(x)
	}
	b.limit = b.used.Load()
	b.epoch.Add(maxAge)
	use := func() (in int) {
		slot.use(b.epoch.Load())
		for _, c := range h.snap.Load().chunks {
			c.usedIn.Store(b.epoch.Load())
			if c.resident() != nil {
				in++
			}
		}
		return in
	}
	all := use()
	for n := range maxAsks {
		if freed := b.evict(1000); freed != 0 || use() != all {
			t.Fatalf("call %d: %d bytes freed, %d of %d chunks in memory", n, freed, use(), all)
		}
	}
	if asked != maxAsks {
		t.Fatalf("%d slots were asked, want %d times the busy one", asked, maxAsks)
	}
	if freed := b.evict(1000); freed < 1000 || use() == all {
		t.Errorf("%d bytes freed, %d of %d chunks in memory", freed, use(), all)
	}
	// One that goes ends that, and a load that waits for it is told.
	b.askCool = func([]*Slot) { b.evictedSlots.Add(1); b.add(memChunk, -300_000) }
	b.limit, b.asks = b.used.Load(), maxAsks
	all = use()
	if freed := b.evict(1000); freed == 0 || use() != all {
		t.Errorf("%d bytes freed, %d of %d chunks in memory", freed, use(), all)
	}
}
