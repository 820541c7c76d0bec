//go:build !race && !invariants

package frame

import (
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

// A log takes what its frames need: a small constant where they are few, and at
// most about half as much again where they came one by one. What the log says that
// it takes is what the heap says.
func TestLog_TakesWhatItsFramesNeed(t *testing.T) {
	const logs = 2000
	f := func(size, events, atOnce int, most float64) {
		t.Helper()
		all := make([]*Log, max(1, logs/events))
		evs := make([]event.Event, events)
		var frames int64
		for i := range evs {
			evs[i] = testEvent(i, size)
			frames += int64(Of(evs[i], 0, EventIDs, nil).Size(Chunked))
		}
		before := heapAlloc()
		var said int64
		for i := range all {
			for at := 0; at < events; at += atOnce {
				all[i] = all[i].Append(EventIDs, uint64(at), evs[at:min(at+atOnce, events)])
			}
			said += all[i].Bytes()
		}
		n := float64(len(all))
		heap := float64(heapAlloc()-before) / n
		each := float64(frames)
		t.Logf("%4d events of %5d B, %4d at once: frames %7.0f B, heap %7.0f B, counted %7.0f B", events, size, atOnce, each, heap, float64(said)/n)
		if heap > most*each+250 {
			t.Errorf("%d events of %d bytes: %.0f bytes of heap for %.0f of frames", events, size, heap, each)
		}
		if counted := float64(said) / n; counted < 0.9*heap-32 || counted > 1.1*heap+32 {
			t.Errorf("%d events of %d bytes: %.0f bytes are counted, and the heap has %.0f", events, size, counted, heap)
		}
		runtime.KeepAlive(all)
		runtime.KeepAlive(evs)
	}
	for _, size := range []int{20, 300, 512, 5000, 40_000} {
		f(size, 1, 1, 1.25) // a quarter: how the allocator rounds
		f(size, 20, 20, 1.25)
	}
	f(300, 2, 1, 1.5)
	f(300, 5, 1, 1.5)
	f(300, 100, 1, 1.5)
	f(300, 1000, 1, 1.4)
	f(20, 100, 3, 1.6)
}
