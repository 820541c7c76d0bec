package cow_test

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
)

// Streams come and go while events are written and frames, chunks and slots
// leave memory: in the end the books are even, whoever came last.
func TestStreams_BooksBalance(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 64 << 20, TouchInterval: time.Hour})
	slots := []*cow.Slot{f.slot(), f.slot(), f.slot()}
	rounds := 1500
	if testing.Short() {
		rounds = 400
	}
	var writing atomic.Int64
	writing.Store(int64(len(slots)))
	var tasks []func()
	for _, slot := range slots {
		tasks = append(tasks, func() {
			defer writing.Add(-1)
			for pos := range uint64(rounds) {
				f.must(slot, payload(slot.ID(), pos))
			}
		})
		for range 2 {
			tasks = append(tasks, func() {
				for writing.Load() > 0 {
					st := f.subscribe(slot, false, "")
					if data, err := st.piece(); err == nil && len(data) > 0 {
						st.Wrote(1 + rand.IntN(len(data)))
					}
					st.Close()
				}
			})
		}
	}
	tasks = append(tasks, func() {
		for writing.Load() > 0 {
			slot := slots[rand.IntN(len(slots))]
			switch rand.IntN(3) {
			case 0:
				f.DropFrames(slot)
			case 1:
				f.EvictChunks(slot)
			default:
				f.Cool(slot)
			}
			time.Sleep(100 * time.Microsecond)
		}
	})
	all(tasks...)
	f.RunInbox()
	for i, slot := range slots {
		if slot.HasSet() || slot.HasFrames() {
			t.Errorf("slot %d: a set is left: %v, frames: %v", i, slot.HasSet(), slot.HasFrames())
		}
	}
	if n := f.Memory().Frames; n != 0 {
		t.Errorf("%d bytes of frames are counted with nobody there", n)
	}
	for _, slot := range slots {
		if err := f.Remove(slot); err != nil {
			t.Fatal(err)
		}
	}
	f.RunInbox()
	f.until("all that was evicted to be collected", func() bool { runtime.GC(); return f.Memory().Retired == 0 })
	if m := f.Memory(); m.Used != 0 || m.Chunks != 0 || m.Index != 0 || m.Frames != 0 {
		t.Errorf("without any slot the books say %+v", m)
	}
}

// The last stream leaves while an event is written: whoever of the two comes
// last drops the frames. Long events make that moment a long one.
func TestStreams_LastLeaveRacesAppend(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 1 << 30})
	slot := f.slot()
	event := `{"pad":"` + strings.Repeat("p", 250_000) + `"}`
	rounds, took := 250, time.Millisecond
	if testing.Short() {
		rounds = 100 // the plain run takes more
	}
	for i := range rounds {
		st, p := f.subscribe(slot, false, ""), f.NewPost()
		if err := p.Accept([]byte(`{"event":` + event + `}`)); err != nil {
			t.Fatal(err)
		}
		leave := time.Duration(rand.Int64N(int64(took)))
		all(func() {
			began := time.Now()
			if _, err := p.Commit(slot); err != nil {
				t.Error(err)
			}
			took = (took*7 + time.Since(began)) / 8
		}, func() {
			for began := time.Now(); time.Since(began) < leave; {
			}
			st.Close()
		})
		p.Release()
		if n := f.Memory().Frames; n != 0 || slot.HasFrames() {
			t.Fatalf("round %d: %d bytes of frames are counted with nobody there; frames: %v", i, n, slot.HasFrames())
		}
	}
}

// A stream that has written a part of what it loaded waits for its reader,
// maybe long, and holds no memory meanwhile: the chunk may leave.
func TestStreams_ShortWriteHoldsNothing(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	want := ""
	for pos := range uint64(40) {
		f.must(slot, payload(slot.ID(), pos))
		want += payloadFrame(slot.ID(), pos)
	}
	f.EvictChunks(slot)
	st := f.subscribe(slot, true, "")
	defer st.Close()
	data, err := st.piece()
	if err != nil || f.Stats().ChunkLoads.Load() == 0 {
		t.Fatalf("no chunk was loaded (%v)", err)
	}
	got := string(data[:10])
	st.Wrote(10)
	f.EvictChunks(slot)
	f.until("what was evicted to be collected", func() bool { runtime.GC(); return f.Memory().Retired == 0 })
	if got += st.take(t, len(want)-len(got)); got != want {
		t.Error("I6: the stream differs")
	}
}
