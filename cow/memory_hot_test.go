package cow_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cowrelay/cow"
)

// Events that are read again and again stay in memory, while many slots are read
// once, which together are far more than the budget holds.
func TestBudget_HotReadsStayBesideColdOnes(t *testing.T) {
	const hot, cold, events = 8, 300, 100
	f := open(t, cow.Options{MemoryBudget: 4 << 20})
	var slots []*cow.Slot
	for range hot + cold {
		slot := f.slot()
		f.fill(slot, 0, events)
		slots = append(slots, slot)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	loads := func() uint64 { return f.Stats().SlotLoads.Load() + f.Stats().ChunkLoads.Load() }
	var hotReads, hotLoads, coldReads, coldLoads uint64
	reads, filled := 2000, 500
	if testing.Short() {
		reads, filled = 600, 300 // the plain run takes more
	}
	for n := range reads {
		warm := n >= filled // by then memory is full of cold slots
		before := loads()
		slot := slots[hot+rng.IntN(cold)]
		f.page(slot, payloadID(slot.ID(), rng.Uint64N(events)), 20)
		if warm {
			coldReads++
			coldLoads += loads() - before
		}
		for range 3 {
			slot, before := slots[rng.IntN(hot)], loads()
			want := array(payloads(slot.ID(), 51, 71))
			if got := f.page(slot, payloadID(slot.ID(), 50), 20); got != want {
				t.Fatalf("a hot page is %.100q, want %.100q", got, want)
			}
			if warm {
				hotReads++
				hotLoads += loads() - before
			}
		}
	}
	if coldLoads < coldReads/2 {
		t.Fatalf("%d loads for %d cold reads: most of the cold slots fit into memory", coldLoads, coldReads)
	}
	// Slots are read by chance, so now and then one is not read for long. On a busy
	// machine slots go cold late, and others leave in their place.
	if hotLoads > hotReads/10 {
		t.Errorf("%d loads for %d hot reads, %d for %d cold ones", hotLoads, hotReads, coldLoads, coldReads)
	}
	t.Logf("%d loads for %d hot reads, %d for %d cold ones", hotLoads, hotReads, coldLoads, coldReads)
}

// The load of a slot that is longer than the room that is left lets go of its own chunks,
// not of those that others read.
func TestLoad_LongSlotsHaveAShare(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 8 << 20})
	fill := func(events int) *cow.Slot {
		slot := f.slot()
		for i := range events {
			f.must(slot, fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, make1(50_000)))
		}
		return slot
	}
	long := fill(120)
	f.Cool(long)
	hot := fill(40) // 2 MB
	f.page(hot, "", 1000)
	before := f.Stats().ChunkLoads.Load() + f.Stats().SlotLoads.Load()
	for i := range 3 {
		f.must(long, ev(fmt.Sprint("more ", i))) // this takes the whole slot
		f.Cool(long)
	}
	loads := f.Stats().ChunkLoads.Load() + f.Stats().SlotLoads.Load() - before
	if loads == 0 {
		t.Fatal("the long slot was not loaded")
	}
	f.page(hot, "", 1000)
	if n := f.Stats().ChunkLoads.Load() + f.Stats().SlotLoads.Load() - before - loads; n != 0 {
		t.Errorf("the slot that was in use needed %d loads", n)
	}
}

// While a commit hangs, slots come into memory and leave it as ever: those that the
// commit does not need, and at the pace of the loads.
func TestBudget_SlotsComeAndGoWhileACommitHangs(t *testing.T) {
	const slots, events = 200, 100 // together far more than the budget
	f := open(t, cow.Options{MemoryBudget: 2 << 20, LoadTimeout: time.Minute, LoadPatience: 20 * time.Second})
	var list []*cow.Slot
	for range slots {
		slot := f.slot()
		f.fill(slot, 0, events)
		list = append(list, slot)
	}
	entered, release := f.m.Hold()
	defer release()
	post := f.later(list[0], ev("held"))
	<-entered
	before := f.Memory().EvictedSlots
	for _, slot := range list[1:] {
		if got, err := f.tryPage(slot, "", events); err != nil || got != array(payloads(slot.ID(), 0, events)) {
			t.Fatalf("a page while the commit hangs: %v, or another page", err)
		}
	}
	if n := f.Memory().EvictedSlots - before; n < slots/2 {
		t.Errorf("%d slots went cold of the %d that were read", n, slots)
	}
	release()
	if a := f.wait(post); a.err != nil || a.dup {
		t.Fatalf("the post: duplicate %v, error %v", a.dup, a.err)
	}
}
