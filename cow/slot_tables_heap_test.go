//go:build !race && !invariants

package cow

import (
	"fmt"
	"runtime"
	"testing"

	"cowrelay/cow/event"
)

func heapAlloc() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The same bound as TestTables_AtMost24BytesAnEvent, as the heap sees it:
// replaced tables and the rounding of the allocator are in it.
func TestTables_AtMost24BytesAnEventOnTheHeap(t *testing.T) {
	for _, events := range []int{1001, 1500, 3000, 10_000, 30_000, 100_000, 1_000_000} {
		slots := make([]*hot, max(1, 200_000/events))
		before := heapAlloc()
		var data int64
		for k := range slots {
			h := new(hot)
			buf := make([]byte, 0, 64)
			for i := range events {
				buf = fmt.Appendf(buf[:0], `{"event_id":"%x","n":%d}`, i, i)
				h.index.Insert(scramble(uint64(i)), uint64(i))
				h.add(event.Event{JSON: buf, IDOff: 12})
			}
			for _, c := range h.chunks {
				data += int64(cap(c.seg.Load().data))
			}
			slots[k] = h
		}
		each := float64(heapAlloc()-before-data) / float64(events*len(slots))
		t.Logf("%7d events: %.1f bytes an event", events, each)
		if each > 24 {
			t.Errorf("%d events: %.2f bytes an event", events, each)
		}
		runtime.KeepAlive(slots)
	}
}

func TestAppender_AllocatesNoMoreThanTheSlotTwice(t *testing.T) {
	ev := rawEvent(300)
	var a appender
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for a.bytes < 32<<20 {
		a.add(ev)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*a.bytes {
		t.Fatalf("a slot of %d bytes took %d bytes of allocations", a.bytes, got)
	}
	runtime.KeepAlive(a)
}
