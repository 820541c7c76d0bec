package cow_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cowrelay/cow"
)

// Posts to a cold slot wait for one load, in their order. Posts to other slots, and
// readers of what is in memory, do not wait with them (I7).
func TestCommit_I7_ParkedPostsKeepTheirOrder(t *testing.T) {
	f := open(t, cow.Options{})
	cold, hot := f.slot(), f.slot()
	f.must(cold, ev("first"))
	f.must(hot, ev("h"))
	f.Cool(cold)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	want := []string{ev("first")}
	var posts []<-chan answer
	for i := range 40 {
		posts = append(posts, f.queued(cold, ev(fmt.Sprint(i))))
		want = append(want, ev(fmt.Sprint(i)))
		f.must(hot, fmt.Sprintf(`{"n":%d}`, i)) // and through the loop the one before it was parked
		if i%10 == 0 {
			f.page(hot, "h", 10)
		}
	}
	dup := f.queued(cold, ev("first"))
	for _, c := range posts {
		f.unanswered(c, "before the slot is loaded")
	}
	if n := f.m.Loads(); n != 1 {
		t.Errorf("the slot was loaded %d times", n)
	}
	close(load)
	for i, c := range posts {
		if a := f.wait(c); a.dup || a.err != nil {
			t.Fatalf("post %d: duplicate %v, error %v", i, a.dup, a.err)
		}
	}
	if a := f.wait(dup); !a.dup || a.err != nil {
		t.Fatalf("the duplicate: %v, error %v", a.dup, a.err)
	}
	f.holds(cold, want...)
	if n := f.m.Loads(); n != 1 {
		t.Errorf("the slot was loaded %d times", n)
	}
	if n, b := f.Queue(); n != 0 || b != 0 {
		t.Errorf("%d posts of %d bytes are counted as waiting", n, b)
	}
}

// Requests for a cold slot share one load, readers and posters alike.
func TestLoad_OneForAllWhoWait(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 50)
	f.Cool(slot)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	post := f.queued(slot, ev("new"))
	f.until("the load", func() bool { return f.m.Loads() == 1 })
	time.AfterFunc(20*time.Millisecond, func() { close(load) })
	var readers []func()
	for i := range 20 {
		readers = append(readers, func() {
			if i%2 == 0 {
				if got := f.page(slot, "", 2); got != array(payloads(slot.ID(), 0, 2)) {
					t.Errorf("a reader got %.100s", got)
				}
				return
			}
			st := f.subscribe(slot, true, payloadID(slot.ID(), 48))
			defer st.Close()
			if got, want := st.take(t, 1), payloadFrame(slot.ID(), 49); len(got) < len(want) || got[:len(want)] != want {
				t.Errorf("a stream got %.100q", got)
			}
		})
	}
	all(readers...)
	f.wait(post)
	if n := f.m.Loads(); n != 1 {
		t.Errorf("%d loads for one slot", n)
	}
}

// A load that fails answers the parked posts, which are certainly not stored,
// and the next post tries again.
func TestCommit_FailedLoadAnswersWhatIsParked(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	f.Cool(slot)
	broken := errors.New("bad sector")
	fail := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-fail; return broken })
	posts := []<-chan answer{f.queued(slot, ev("b")), f.queued(slot, ev("c"))}
	remove := make(chan error, 1)
	close(fail)
	for _, c := range posts {
		if a := f.wait(c); !errors.Is(a.err, broken) {
			t.Errorf("post %s: error %v, want the load's", a.event, a.err)
		}
	}
	if f.Slot(slot.ID()) != slot || slot.Count() != 1 {
		t.Error("a slot that can't be loaded looks empty or gone")
	}
	f.m.OnLoad(nil)
	f.must(slot, ev("b"))
	f.holds(slot, ev("a"), ev("b"))
	go func() { remove <- f.Remove(slot) }()
	if err := <-remove; err != nil {
		t.Error(err)
	}
}

// A post waits for a chunk with which its id must be compared. The loop does not
// wait: posts to other slots go on.
func TestCommit_I7_DedupeInAnEvictedChunk(t *testing.T) {
	f := open(t, cow.Options{})
	slot, other := f.slot(), f.slot()
	f.fill(slot, 0, 300)
	f.EvictChunks(slot)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	dup := f.queued(slot, payload(slot.ID(), 7))
	next := f.queued(slot, ev("next"))
	f.must(other, ev("a"))
	if got, want := f.page(slot, payloadID(slot.ID(), 299), 10), "[]"; got != want {
		t.Errorf("what is in memory: %s", got)
	}
	f.unanswered(dup, "before its chunk is loaded")
	// An eviction between the load and the comparison must not make it wait
	// for ever.
	f.m.OnLoad(func(cow.ID, uint64) error { f.EvictChunks(slot); return nil })
	close(load)
	if a := f.wait(dup); !a.dup || a.err != nil {
		t.Fatalf("duplicate %v, error %v", a.dup, a.err)
	}
	if a := f.wait(next); a.dup || a.err != nil {
		t.Fatalf("the post behind it: duplicate %v, error %v", a.dup, a.err)
	}
}

// A load that finds no room in memory gives ErrBusy after a while, and not an empty
// slot. It frees what it had reserved.
func TestLoad_NoRoomIsBusy(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 1_150_000, LoadPatience: 30 * time.Millisecond, PageBytes: 8 << 20})
	slot := f.slot()
	large := `{"p":"` + string(make1(250_000)) + `"}`
	for range 4 {
		f.must(slot, large)
	}
	f.Cool(slot)
	f.Charge(1_000_000) // what does not leave
	if _, err := f.tryPage(slot, "", 10); !errors.Is(err, cow.ErrBusy) {
		t.Errorf("window while memory is full: error %v, want ErrBusy", err)
	}
	if _, err := f.post(slot, ev("a")); !errors.Is(err, cow.ErrBusy) {
		t.Errorf("post while memory is full: error %v, want ErrBusy", err)
	}
	f.Charge(-1_000_000)
	f.until("room", func() bool { _, err := f.tryPage(slot, "", 10); return err == nil })
	f.All(func(s *cow.Slot) bool { f.Cool(s); return true })
	if m := f.Memory(); m.Used != 0 {
		t.Errorf("%d bytes are counted as used with nothing in memory (%+v)", m.Used, m)
	}
}
