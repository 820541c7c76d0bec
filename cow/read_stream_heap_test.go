//go:build !race && !invariants

package cow_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"cowrelay/cow"
)

// Streams leave no memory behind, whoever is the last to hold it: with and
// without streams in the past a slot takes the same, and the budget knows it.
func TestStreams_LeaveNoMemory(t *testing.T) {
	const slots = 2000
	event := ev(strings.Repeat("x", 100))
	take := func(streams int) (heap, counted float64) {
		before := heapAlloc()
		s := openHollow(t, &hollow{})
		f := &fixture{TB: t, Store: s}
		for range slots {
			slot := f.slot()
			var open []*stream
			for range streams {
				open = append(open, f.subscribe(slot, false, ""))
			}
			f.must(slot, event)
			for _, st := range open {
				st.take(t, 1)
				st.Close()
			}
		}
		if n := s.Memory().Frames; n != 0 {
			t.Errorf("%d bytes of frames are counted with nobody there", n)
		}
		heap, counted = float64(heapAlloc()-before)/slots, float64(s.Memory().Used)/slots
		runtime.KeepAlive(s)
		return heap, counted
	}
	take(0) // meanwhile what earlier tests have left is collected
	never, neverCounted := take(0)
	past, pastCounted := take(2)
	t.Logf("a slot takes %.0f bytes of heap and %.0f of the budget, after streams %.0f and %.0f", never, neverCounted, past, pastCounted)
	if past > never+100 {
		t.Errorf("a slot takes %.0f bytes more once it had a stream", past-never)
	}
	if pastCounted != neverCounted {
		t.Errorf("the budget counts %.0f bytes a slot once it had a stream, else %.0f", pastCounted, neverCounted)
	}
}

// What streams have the slots take while they are open is on the books.
func TestStreams_MemoryIsCounted(t *testing.T) {
	const slots = 1000
	event := ev(strings.Repeat("x", 100))
	f := &fixture{TB: t, Store: openHollow(t, &hollow{})}
	var all []*cow.Slot
	var open []*stream
	for range slots {
		slot := f.slot()
		all = append(all, slot)
		st := f.subscribe(slot, false, "")
		st.buf = nil // as idle as a connection is
		open = append(open, st)
		f.must(slot, ev("first"))
	}
	was, counted := heapAlloc(), f.Memory().Used
	for i := range 100 {
		for _, slot := range all {
			f.must(slot, strings.Replace(event, "x", fmt.Sprintf("%05d", i), 1))
		}
	}
	heap, used := float64(heapAlloc()-was), float64(f.Memory().Used-counted)
	t.Logf("%.1f MB of heap, %.1f MB counted, of it frames %.1f MB", heap/1e6, used/1e6, float64(f.Memory().Frames)/1e6)
	if used < 0.9*heap || used > 1.1*heap {
		t.Errorf("the budget counts %.0f bytes of %.0f", used, heap)
	}
	if f.Memory().Frames < int64(used/3) {
		t.Errorf("%d bytes of frames are counted", f.Memory().Frames)
	}
	for _, st := range open {
		st.Close()
	}
	if n := f.Memory().Frames; n != 0 {
		t.Errorf("%d bytes of frames are counted with nobody there", n)
	}
}

// Slots with one event and one stream each take what the frame of that event needs,
// and a small constant: there may be tens of thousands of them.
func TestStreams_OneFrameIsSmall(t *testing.T) {
	const slots = 4000
	event := `{"event_id":"one","body":"` + strings.Repeat("x", 300) + `"}`
	f := &fixture{TB: t, Store: openHollow(t, &hollow{})}
	var all []*cow.Slot
	var open []*stream
	for range slots {
		slot := f.slot()
		all = append(all, slot)
		st := f.subscribe(slot, false, "")
		st.buf = nil // as idle as a connection is
		open = append(open, st)
	}
	for _, slot := range all {
		f.must(slot, event)
	}
	with := heapAlloc()
	frames := float64(f.Memory().Frames) / slots
	for _, st := range open {
		st.Close()
	}
	heap := float64(with-heapAlloc()) / slots
	t.Logf("a slot with one event of %d bytes: %.0f bytes of frames, %.0f of heap with the stream", len(event), frames, heap)
	if most := 1.25*float64(len(event)) + 250; frames > most || frames < float64(len(event)) {
		t.Errorf("the frames of a slot take %.0f bytes, want %d to %.0f", frames, len(event), most)
	}
	if heap > frames+1000 {
		t.Errorf("a stream and its frame take %.0f bytes of heap, of which %.0f are counted", heap, frames)
	}
	runtime.KeepAlive(all)
}
