package cow_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/journaltest"
)

// A chunk that a post waits for can't be loaded while a catch-up of the same
// slot is under way. The post is not decided on a chunk that is not there.
func TestCatchUp_ChunkThatFailsMeanwhile(t *testing.T) {
	for _, first := range []string{"chunk", "catch-up"} {
		t.Run(first+" first", func(t *testing.T) {
			f := open(t, cow.Options{})
			slot, other := f.slot(), f.slot()
			f.fill(slot, 0, 300)
			f.EvictChunks(slot)
			broken := errors.New("bad sector")
			chunk, catchUp := make(chan struct{}), make(chan struct{})
			var chunks, catches atomic.Int32
			f.m.OnLoad(func(_ cow.ID, from uint64) error {
				if from == 300 {
					catches.Add(1)
					<-catchUp
					return nil
				}
				if chunks.Add(1) == 1 {
					<-chunk
					return broken
				}
				return nil
			})
			go func() {
				f.until("both loads", func() bool { return chunks.Load() > 0 && catches.Load() > 0 })
				ends := []chan struct{}{chunk, catchUp}
				if first == "catch-up" {
					ends[0], ends[1] = catchUp, chunk
				}
				close(ends[0])
				time.Sleep(20 * time.Millisecond)
				f.RunInbox()
				close(ends[1])
			}()
			answers := f.gather(other, slot, func() { f.m.FailNext(cow.Stored, true); f.m.FailNext(cow.Conflict, false) },
				ev("new"), payload(slot.ID(), 5))
			for i, a := range answers {
				if failed := errors.Is(a.err, broken); !failed && (a.err != nil || a.dup != (i == 1)) {
					t.Errorf("post %d: duplicate %v, error %v", i, a.dup, a.err)
				}
			}
			if n := f.Waits(); n != 0 {
				t.Errorf("the loop waits for %d slots", n)
			}
			f.duplicate(slot, payload(slot.ID(), 5))
		})
	}
}

// lateLoads is a journal. A load from a position that want chooses reads all, says
// so on read, and returns when it may leave.
type lateLoads struct {
	*journaltest.Memory
	want        func(from uint64) bool
	read, leave chan struct{}
}

func (j *lateLoads) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	err := j.Memory.Load(slot, from, yield)
	if j.want(from) {
		j.read <- struct{}{}
		<-j.leave
	}
	return err
}

// openLate opens a store on such a journal.
func openLate(t *testing.T, want func(from uint64) bool) (*fixture, *lateLoads) {
	t.Helper()
	j := &lateLoads{journaltest.NewMemory(), want, make(chan struct{}), make(chan struct{})}
	f := &fixture{TB: t, m: j.Memory, opts: cow.Options{StallAfter: time.Minute, QueueTimeout: time.Minute}, shut: true}
	var err error
	if f.Store, err = cow.Open(j, j.Memory, f.opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Store.Close(); j.Memory.Close() })
	return f, j
}

// nothing checks that all counts are 0.
func (f *fixture) nothing() {
	f.Helper()
	f.RunInbox()
	if s := f.Stats(); f.Len() != 0 || s.Events.Load() != 0 || s.Bytes.Load() != 0 {
		f.Errorf("%d slots, %d events, %d bytes are counted", f.Len(), s.Events.Load(), s.Bytes.Load())
	}
	if m := f.Memory(); m.Used != 0 || m.HotSlots != 0 {
		f.Errorf("%d bytes of %d hot slots are counted as used (%+v)", m.Used, m.HotSlots, m)
	}
	if n := f.Waits(); n != 0 {
		f.Errorf("the loop waits for %d slots", n)
	}
}

// Another writer appends and then removes the slot. The catch-up has read the
// append and lands after the removal. Nothing of a dead slot is counted, and the
// posts that waited hear that it is gone.
func TestCatchUp_LandsAfterARemoval(t *testing.T) {
	for _, outcome := range []cow.Outcome{cow.Conflict, cow.Unknown} {
		for _, held := range []uint64{0, 2} {
			t.Run(fmt.Sprintf("outcome %d, %d events", outcome, held), func(t *testing.T) {
				f, j := openLate(t, func(from uint64) bool { return from == held })
				slot, other := f.slot(), f.slot()
				for i := range held {
					f.must(slot, ev(fmt.Sprint(i)))
				}
				go func() {
					<-j.read // it knows of the append
					f.m.ForeignRemove(slot.ID())
					f.m.WaitFeed()
					f.RunInbox()
					j.leave <- struct{}{}
				}()
				f.m.DropFeed(1) // or it might be known before the batch is decided
				answers := f.gather(other, slot, func() {
					f.m.Foreign(slot.ID(), foreign("theirs"))
					f.m.FailNext(cow.Stored, true)
					f.m.FailNext(outcome, false)
				}, ev("a"), ev("b"), ev("a"))
				for i, a := range answers {
					if !errors.Is(a.err, cow.ErrNoSlot) {
						t.Errorf("post %d: duplicate %v, error %v; want ErrNoSlot", i, a.dup, a.err)
					}
				}
				if err := f.Remove(other); err != nil {
					t.Fatal(err)
				}
				f.nothing()
			})
		}
	}
}

// A slot whose append is in doubt is removed by another writer while the store
// can't be read. Its posters are answered before it can be.
func TestCatchUp_DoubtOfARemovedSlot(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("before"))
	var loads atomic.Int32
	f.m.OnLoad(func(cow.ID, uint64) error { loads.Add(1); return errors.New("not now") })
	f.m.FailNext(cow.Unknown, false)
	doubtful := f.later(slot, ev("a"))
	f.until("the look-up to fail", func() bool { return loads.Load() == 1 })
	parked := f.queued(slot, ev("b"))
	f.m.ForeignRemove(slot.ID())
	for _, c := range []<-chan answer{doubtful, parked} {
		if a := f.wait(c); !errors.Is(a.err, cow.ErrNoSlot) {
			t.Errorf("post of %s: error %v, want ErrNoSlot", a.event, a.err)
		}
	}
	f.nothing()
}

// Every entry of the feed that stands behind a gap says that something is
// missing. However many come, one catch-up at a time is under way.
func TestCatchUp_OneAtATime(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("ours"))
	var running, most, loads atomic.Int32
	release := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error {
		loads.Add(1)
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		running.Add(-1)
		return nil
	})
	f.m.DropFeed(1)
	const n = 200
	for i := range n {
		f.m.Foreign(slot.ID(), foreign(fmt.Sprint(i)))
	}
	f.m.WaitFeed()
	f.RunInbox()
	close(release)
	f.until("the gap to be filled", func() bool { return slot.Count() == n+1 })
	f.until("the catch-ups to end", func() bool { return f.Waits() == 0 })
	if most.Load() > 1 || loads.Load() > 3 {
		t.Errorf("%d loads, %d at once, for one gap", loads.Load(), most.Load())
	}
	if n := f.Stats().Events.Load(); n != int64(slot.Count()) {
		t.Errorf("the store counts %d events of %d", n, slot.Count())
	}
}

// What stands behind the head is read in pieces: a catch-up holds only so much
// of it in memory, and an append in doubt is searched for to the end.
func TestCatchUp_InPieces(t *testing.T) {
	f := open(t, cow.Options{})
	slot, other := f.slot(), f.slot()
	f.must(slot, ev("ours"))
	f.m.DropFeed(1000)
	large := func(i int) string { return fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, make1(60_000)) }
	const n = 60 // some 3.6 MB
	want := []string{ev("ours")}
	loads := f.m.Loads()
	answers := f.gather(other, slot, func() {
		for i := range n {
			f.m.Foreign(slot.ID(), event.Event{JSON: []byte(large(i)), IDOff: 12})
			want = append(want, large(i))
		}
	}, large(n-1), ev("last"))
	if a := answers[0]; !a.dup || a.err != nil {
		t.Errorf("the newest of the others' events: duplicate %v, error %v", a.dup, a.err)
	}
	if a := answers[1]; a.dup || a.err != nil {
		t.Errorf("the next event: duplicate %v, error %v", a.dup, a.err)
	}
	if n := f.m.Loads() - loads; n < 3 {
		t.Errorf("%d loads for 3.6 MB: it was held in memory at once", n)
	}
	f.holds(slot, append(want, ev("last"))...)
}

// A gap larger than such a piece is filled by one entry that shows it.
func TestCatchUp_LargeGap(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("ours"))
	const n = 60 // some 3.6 MB
	f.m.DropFeed(n)
	for i := range n + 1 {
		large := fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, make1(60_000))
		f.m.Foreign(slot.ID(), event.Event{JSON: []byte(large), IDOff: 12})
	}
	f.until("the gap to be filled", func() bool { return slot.Count() == n+2 })
}

// A catch-up has read the journal and is still under way. What is fed now takes
// another catch-up.
func TestCatchUp_FedBehindOne(t *testing.T) {
	f, j := openLate(t, func(from uint64) bool { return from == 1 })
	slot := f.slot()
	f.must(slot, ev("ours"))
	f.m.DropFeed(1)
	f.m.Foreign(slot.ID(), foreign("a")) // is not told
	f.m.Foreign(slot.ID(), foreign("b")) // shows the gap
	<-j.read
	f.m.Foreign(slot.ID(), foreign("c"))
	f.m.WaitFeed()
	f.RunInbox()
	j.leave <- struct{}{}
	f.until("all events", func() bool { return slot.Count() == 4 })
	f.holds(slot, ev("ours"), ev("a"), ev("b"), ev("c"))
}
