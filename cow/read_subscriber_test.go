package cow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// The set of subscribers is made with the first and gone with the last, and
// each is pruned at once.
func TestSubscribers_SetIsGoneWithTheLast(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	if slot.HasSet() {
		t.Fatal("a set without subscribers")
	}
	a, b, c := f.subscribe(slot, false, ""), f.subscribe(slot, false, ""), f.subscribe(slot, true, "")
	f.must(slot, ev("1"))
	if slot.SetLen() != 3 || !slot.HasFrames() || f.Stats().Subscribers.Load() != 3 {
		t.Fatalf("%d in the set, %d counted, frames %v", slot.SetLen(), f.Stats().Subscribers.Load(), slot.HasFrames())
	}
	for i, st := range []*stream{b, a, c} {
		st.Close()
		if slot.SetLen() != 2-i {
			t.Fatalf("%d left after %d closed", slot.SetLen(), i+1)
		}
		st.Close() // again: nothing
		if slot.SetLen() != 2-i || f.Stats().Subscribers.Load() != int64(2-i) {
			t.Fatalf("closing again took another one: %d left, %d counted", slot.SetLen(), f.Stats().Subscribers.Load())
		}
	}
	if slot.HasSet() || slot.HasFrames() {
		t.Errorf("left with the last: set %v, frames %v", slot.HasSet(), slot.HasFrames())
	}
	f.must(slot, ev("2"))
	if slot.HasFrames() || f.Stats().FramesEncoded.Load() != 1 {
		t.Error("frames were encoded for nobody")
	}
	if m := f.Memory(); m.Frames != 0 {
		t.Errorf("%d bytes of frames are counted", m.Frames)
	}
}

// 256 and not one more, whatever races for the last place.
func TestSubscribers_BoundIsExact(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	subs := make([]*stream, 300)
	var refused atomic.Int64
	var tasks []func()
	for i := range subs {
		tasks = append(tasks, func() {
			st, err := f.trySubscribe(slot, i%2 == 0, "")
			switch {
			case err == nil:
				subs[i] = st
			case errors.Is(err, cow.ErrTooManyStreams):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all(tasks...)
	if refused.Load() != 44 || slot.SetLen() != 256 || f.Stats().Subscribers.Load() != 256 {
		t.Fatalf("%d refused, %d in the set, %d counted; want 44, 256, 256", refused.Load(), slot.SetLen(), f.Stats().Subscribers.Load())
	}
	if _, err := f.trySubscribe(slot, false, ""); !errors.Is(err, cow.ErrTooManyStreams) {
		t.Fatalf("the 257th: error %v", err)
	}
	for _, st := range subs {
		if st != nil {
			st.Close()
			break
		}
	}
	last := f.subscribe(slot, false, "") // a place that was left is free at once
	subs = append(subs, last)
	if _, err := f.trySubscribe(f.slot(), false, ""); err != nil {
		t.Errorf("another slot is full too: %v", err)
	}
	tasks = nil
	for _, st := range subs {
		if st != nil {
			tasks = append(tasks, st.Close, st.Close)
		}
	}
	all(tasks...)
	if slot.HasSet() {
		t.Errorf("%d left", slot.SetLen())
	}
}

// I6: a subscribe that races the removal of the set with the last one is not
// lost: it is woken by the next event.
func TestSubscribers_I6_SubscribeRacesTheLastLeave(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	rounds := 1500
	if testing.Short() {
		rounds = 400
	}
	for i := range rounds {
		leaving := f.subscribe(slot, false, "")
		var joined *stream
		all(leaving.Close, func() { joined = f.subscribe(slot, false, "") })
		f.must(slot, ev(fmt.Sprint(i)))
		select {
		case <-joined.bell:
		default:
			t.Fatalf("I6: round %d: the subscriber that joined as the last one left is not woken", i)
		}
		if got := joined.take(t, 1); got != idFrame(fmt.Sprint(i)) {
			t.Fatalf("I6: round %d: got %q", i, got)
		}
		joined.Close()
		if slot.HasSet() {
			t.Fatal("a set is left")
		}
	}
}

// I6: no wake-up is lost. Streams sleep until they are woken, however long
// that is; so one lost wake-up between "nothing new" and sleep stops one.
func TestSubscribers_I6_NoLostWakeup(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const writers, streams = 3, 6
	each := 1200
	if testing.Short() {
		each = 300
	}
	total := writers * each
	var started atomic.Int64
	var tasks []func()
	for s := range streams {
		tasks = append(tasks, func() {
			st := f.subscribe(slot, true, "")
			defer st.Close()
			started.Add(1)
			seen := 0
			for seen < total {
				text, err := st.read(20 * time.Second)
				if err != nil {
					t.Errorf("I6: stream %d after %d events of %d: %v, %d behind", s, seen, total, err, st.Behind())
					return
				}
				seen += strings.Count(text, "\n\n")
			}
		})
	}
	for w := range writers {
		tasks = append(tasks, func() {
			for started.Load() < streams {
				time.Sleep(time.Millisecond)
			}
			for i := range each {
				f.must(slot, ev(fmt.Sprintf("%d-%d", w, i)))
			}
		})
	}
	all(tasks...)
}

// I6: a stream begins at a random event of the history and passes to live
// events while they are written, with frames and chunks leaving memory: each
// event once, in order.
func TestSubscribers_I6_FromHistoryToLive(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const history = 400
	total := uint64(1200)
	if testing.Short() {
		total = 700
	}
	f.fill(slot, 0, history)
	tasks := []func(){func() { f.fill(slot, history, total) }}
	done := make(chan struct{})
	for s := range 8 {
		tasks = append(tasks, func() {
			from := rand.Uint64N(history)
			since := payloadID(slot.ID(), from)
			if s == 0 {
				from, since = ^uint64(0), "unknown" // reads from the oldest
			}
			st := f.subscribe(slot, true, since)
			defer st.Close()
			var want strings.Builder
			for pos := from + 1; pos < total; pos++ {
				want.WriteString(payloadFrame(slot.ID(), pos))
			}
			if got := st.take(t, want.Len()); got != want.String() {
				t.Errorf("I6: the stream from %d differs", from)
			}
		})
	}
	go func() {
		defer close(done)
		for slot.Count() < total {
			f.EvictChunks(slot)
			f.DropFrames(slot)
			time.Sleep(3 * time.Millisecond)
		}
	}()
	all(tasks...)
	<-done
}

// Subscribe without resume begins behind the newest event.
func TestSubscribers_LiveBeginsAtTheHead(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("old"))
	for _, cold := range []bool{false, true} {
		if cold {
			f.Cool(slot)
		}
		st := f.subscribe(slot, false, "")
		if data, err := st.piece(); data != nil || err != nil {
			t.Fatalf("a live stream began with %q, %v", data, err)
		}
		id := fmt.Sprint("new", cold)
		f.must(slot, ev(id))
		if got := st.take(t, 1); got != idFrame(id) {
			t.Fatalf("got %q", got)
		}
		st.Close()
	}
	// Since of an id that nobody knows, or none: everything.
	for _, since := range []string{"", "unknown"} {
		st := f.subscribe(slot, true, since)
		want := idFrame("old") + idFrame("newfalse") + idFrame("newtrue")
		if got := st.take(t, len(want)); got != want {
			t.Errorf("since %q gives %q", since, got)
		}
		if st.Behind() != 0 || !st.Between() {
			t.Errorf("%d behind, between frames %v", st.Behind(), st.Between())
		}
		st.Close()
	}
}

// I7: who subscribes and leaves, and a stream that takes nothing, delay
// neither posts nor other streams.
func TestSubscribers_I7_SlowOneDelaysNobody(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	slow := f.subscribe(slot, true, "")
	defer slow.Close()
	quick := f.subscribe(slot, true, "")
	defer quick.Close()
	if _, err := slow.piece(); err != nil {
		t.Fatal(err)
	}
	want := ""
	for i := range uint64(2000) {
		f.must(slot, payload(slot.ID(), i))
		want += payloadFrame(slot.ID(), i)
	}
	if got := quick.take(t, len(want)); got != want {
		t.Error("I6: the quick stream differs")
	}
	if slow.Behind() != 2000 {
		t.Errorf("the slow stream is %d behind", slow.Behind())
	}
	if m := f.Memory(); m.Frames > 1<<20+64<<10 {
		t.Errorf("%d bytes of frames are kept for it", m.Frames)
	}
	if got := slow.take(t, len(want)); got != want {
		t.Error("I6: the slow stream differs when it goes on")
	}
}

// A join and a leave at the same time never undo each other.
func TestSubscribers_I6_JoinAndLeaveAtOnce(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	rounds := 4000
	if testing.Short() {
		rounds = 1500
	}
	var tasks []func()
	for k := range 4 {
		tasks = append(tasks, func() {
			for range rounds {
				st, err := f.Subscribe(slot, cow.Newest(), frame.IDs(k%3), newBell())
				if err != nil {
					t.Error(err)
					return
				}
				if !slot.InSet(st) {
					t.Error("the subscriber that joined is not in the set")
					return
				}
				st.Close()
				if slot.InSet(st) {
					t.Error("the subscriber that left is in the set")
					return
				}
			}
		})
	}
	all(tasks...)
	if slot.HasSet() || f.Stats().Subscribers.Load() != 0 {
		t.Errorf("%d left, %d counted", slot.SetLen(), f.Stats().Subscribers.Load())
	}
}

// The last stream leaves while the frames of a batch are written: none stay.
func TestSubscribers_NoFramesStayWithTheLast(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 512 << 20})
	large := `{"p":"` + strings.Repeat("x", 250_000) + `"}`
	rounds := 60
	if testing.Short() {
		rounds = 20
	}
	for i := range rounds {
		slot := f.slot()
		st := f.subscribe(slot, false, "")
		entered, release := f.m.Hold()
		posts := []<-chan answer{f.later(slot, large)}
		<-entered
		for range 4 {
			posts = append(posts, f.queued(slot, large))
		}
		encoded := f.Stats().FramesEncoded.Load()
		release()
		for f.Stats().FramesEncoded.Load() == encoded { // the first is done, the others come at once
			runtime.Gosched()
		}
		time.Sleep(time.Duration(i*37%900) * time.Microsecond)
		st.Close()
		for _, c := range posts {
			f.wait(c)
		}
		if slot.HasFrames() {
			t.Fatalf("round %d: frames for nobody stay", i)
		}
		if err := f.Remove(slot); err != nil {
			t.Fatal(err)
		}
	}
	if m := f.Memory(); m.Frames != 0 {
		t.Errorf("%d bytes of frames are counted", m.Frames)
	}
}
