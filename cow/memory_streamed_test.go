package cow_test

import (
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
)

// Slots with streams fill more than the budget with their tails. Others are served all
// the same, and each stream gets what is posted later, once and in order (I6, I7).
func TestMemory_I6_SlotsWithStreamsMakeRoom(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 1 << 20})
	const slots = 24
	old := f.slot()
	f.fill(old, 0, 400)
	var streamed []*cow.Slot
	var streams []*stream
	for range slots {
		slot := f.slot()
		f.must(slot, `{"first":"`+strings.Repeat("x", 100<<10)+`"}`)
		streamed = append(streamed, slot)
		streams = append(streams, f.subscribe(slot, false, ""))
	}
	if got := f.page(old, "", 1000); strings.Count(got, "event_id") != 400 {
		t.Fatalf("a cold slot beside %d slots with streams: %.80s", slots, got)
	}
	if m := f.Memory(); m.Used > m.Limit+m.Limit/4 {
		t.Errorf("%d bytes of %d are in use", m.Used, m.Limit)
	}
	for round := range 3 {
		for i, slot := range streamed {
			event := ev(string(rune('a' + round)))
			f.must(slot, event)
			got, err := streams[i].read(time.Minute)
			if err != nil || !strings.Contains(got, "data: "+event) || strings.Count(got, "data: ") != 1 {
				t.Fatalf("stream %d got %.200q, %v", i, got, err)
			}
		}
	}
	for _, st := range streams {
		st.Close()
	}
}
