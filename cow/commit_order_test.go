package cow_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// Before the journal has said that an event is stored, no page, no since, no stream
// and no answer to a duplicate shows it. Afterwards all of them do.
func TestCommit_I3I4_DurableThenVisibleThenAcknowledged(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("before"))
	live := f.subscribe(slot, false, "")
	defer live.Close()
	entered, release := f.m.Hold()
	defer release()

	first := f.later(slot, ev("held"))
	<-entered
	dup := f.queued(slot, ev("held"))
	late := f.queued(slot, ev("late"))
	for range 3 {
		f.unanswered(first, "while the journal is held")
		f.unanswered(dup, "while the journal is held")
		f.unanswered(late, "while the journal is held")
		f.holds(slot, ev("before"))
		if got := f.page(slot, "before", 10); got != "[]" {
			t.Fatalf("I4: a page shows %s before it is stored", got)
		}
		// An id that is not visible is unknown, so it reads from the oldest.
		if got := f.page(slot, "held", 10); got != "["+ev("before")+"]" {
			t.Fatalf("I4: since an event that is not stored yet gives %s", got)
		}
		if data, err := live.piece(); data != nil || err != nil {
			t.Fatalf("I4: a stream got %q (%v) before it was stored", data, err)
		}
		if sub := f.subscribe(slot, true, "before"); sub.Behind() != 0 {
			t.Fatal("I4: a new stream sees an event before it is stored")
		} else {
			sub.Close()
		}
		if n := f.Stats().Events.Load(); n != 1 {
			t.Fatalf("I4: %d events are counted", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	release()
	if a := f.wait(first); a.dup || a.err != nil {
		t.Fatalf("the held post: duplicate %v, error %v", a.dup, a.err)
	}
	if a := f.wait(dup); !a.dup || a.err != nil {
		t.Fatalf("its duplicate: duplicate %v, error %v", a.dup, a.err)
	}
	if a := f.wait(late); a.dup || a.err != nil {
		t.Fatalf("the late post: duplicate %v, error %v", a.dup, a.err)
	}
	f.holds(slot, ev("before"), ev("held"), ev("late"))
	want := idFrame("held") + idFrame("late")
	if got := live.take(t, len(want)); got != want {
		t.Fatalf("the stream got %q", got)
	}
}

func idFrame(id string) string { return wrap("id: " + id + "\ndata: " + ev(id) + "\n\n") }

// I3: when a poster hears that its event is stored, every page and every new
// stream that is asked for from then on has it.
func TestCommit_I3_AcknowledgedIsVisible(t *testing.T) {
	f := open(t, cow.Options{})
	slots := []*cow.Slot{f.slot(), f.slot(), f.slot()}
	var tasks []func()
	for w := range 8 {
		tasks = append(tasks, func() {
			slot := slots[w%len(slots)]
			for i := range 200 {
				id := fmt.Sprintf("%d-%d", w, i)
				if dup, err := f.post(slot, ev(id)); dup || err != nil {
					t.Errorf("post %s: duplicate %v, error %v", id, dup, err)
					return
				}
				st, err := f.trySubscribe(slot, true, id)
				if err != nil {
					t.Error(err)
					return
				}
				// Behind its own event: an unknown id would begin at 0.
				if pos, _ := st.Cursor(); pos < uint64(i)+1 {
					t.Errorf("I3: %s was acknowledged and is not known: cursor %d", id, pos)
				}
				st.Close()
			}
		})
	}
	all(tasks...)
	for _, slot := range slots {
		if n := slot.Count(); n != 600 && n != 400 {
			t.Errorf("a slot counts %d events", n)
		}
	}
}

// A subscriber is woken when the event can be read, and the poster is answered
// after that.
func TestCommit_WakesBeforeItAnswers(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	var woken atomic.Int64
	sub, err := f.Subscribe(slot, cow.Newest(), frame.EventIDs, wakerFunc(func(int64) {
		woken.Store(int64(slot.Count()))
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for i := range int64(300) {
		f.must(slot, ev(fmt.Sprint(i)))
		if got := woken.Load(); got != i+1 {
			t.Fatalf("post %d was answered when the waker had seen %d events", i, got)
		}
	}
}

type wakerFunc func(int64)

func (w wakerFunc) Wake(at int64) { w(at) }

// All that waits goes into one batch of the journal, bounded in posts and bytes.
func TestCommit_OneBatchForAllThatWaits(t *testing.T) {
	var batches, posts, largest atomic.Int64
	f := open(t, cow.Options{Committed: func(n, bytes int, _ time.Duration) {
		batches.Add(1)
		posts.Add(int64(n))
		largest.Store(max(largest.Load(), int64(bytes)))
	}})
	slots := []*cow.Slot{f.slot(), f.slot(), f.slot()}
	entered, release := f.m.Hold()
	defer release()
	answers := []<-chan answer{f.later(slots[0], ev("first"))}
	<-entered
	for i := range 2000 {
		answers = append(answers, f.later(slots[i%3], ev(fmt.Sprint(i))))
	}
	f.until("all to wait", func() bool { n, _ := f.Queue(); return n == 2000 })
	batches.Store(0)
	posts.Store(0)
	release()
	for _, c := range answers {
		if a := f.wait(c); a.dup || a.err != nil {
			t.Fatalf("%s: duplicate %v, error %v", a.event, a.dup, a.err)
		}
	}
	if b, p := batches.Load(), posts.Load(); p != 2001 || b != 3 {
		t.Errorf("%d posts in %d batches, want 2001 in 3: the held one, 1024 and the rest", p, b)
	}
	entered, release = f.m.Hold()
	defer release()
	answers = []<-chan answer{f.later(slots[0], ev("second"))}
	<-entered
	large := `{"pad":"` + string(make1(200_000)) + `"}`
	for i := range 100 {
		answers = append(answers, f.later(slots[i%3], large))
	}
	f.until("all to wait", func() bool { n, _ := f.Queue(); return n == 100 })
	release()
	for _, c := range answers {
		f.wait(c)
	}
	if n := largest.Load(); n > 4<<20+200_100 {
		t.Errorf("a batch had %d bytes of events", n)
	}
}

func make1(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'z'
	}
	return b
}
