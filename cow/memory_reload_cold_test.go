package cow_test

import (
	"runtime"
	"testing"

	"cowrelay/cow"
)

// A slot goes cold while one of its chunks is being loaded again. What the load
// brings serves the reader that waits, and is on nobody's books afterwards.
func TestReload_SlotThatGoesColdMeanwhile(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 300)
	if f.EvictChunks(slot) == 0 {
		t.Fatal("nothing was evicted")
	}
	began, release := make(chan struct{}, 1), make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error {
		select {
		case began <- struct{}{}:
			<-release
		default:
		}
		return nil
	})
	read := f.Snapshot(slot)
	type result struct {
		text string
		err  error
	}
	got := make(chan result)
	go func() {
		text, err := read()
		got <- result{text, err}
	}()
	<-began
	f.Cool(slot)
	if slot.Hot() {
		t.Fatal("the slot is hot")
	}
	close(release)
	if r := <-got; r.err != nil || r.text != array(payloads(slot.ID(), 0, 300)) {
		t.Errorf("the reader got %d bytes, %v", len(r.text), r.err)
	}
	if m := f.Memory(); m.Used != 0 || m.Chunks != 0 {
		t.Errorf("%d bytes are counted as used with nothing in memory (%+v)", m.Used, m)
	}
	f.until("the reader's segments to be collected", func() bool {
		runtime.GC()
		return f.Memory().Retired == 0
	})
}
