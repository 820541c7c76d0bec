package cow_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// The queue is bounded in posts.
func TestCommit_QueueIsBoundedInPosts(t *testing.T) {
	f := open(t, cow.Options{QueuePosts: 5})
	slot := f.slot()
	entered, release := f.m.Hold()
	defer release()
	posts := []<-chan answer{f.later(slot, ev("held"))}
	<-entered
	for i := range 5 {
		posts = append(posts, f.queued(slot, ev(fmt.Sprint(i))))
	}
	for range 3 {
		if _, err := f.post(slot, ev("over")); !errors.Is(err, cow.ErrBusy) {
			t.Fatalf("a post to a full queue: error %v, want ErrBusy", err)
		}
	}
	if n := f.Stats().PostsRejected.Load(); n != 3 {
		t.Errorf("%d rejected posts are counted", n)
	}
	release()
	for _, c := range posts {
		if a := f.wait(c); a.err != nil {
			t.Errorf("%s: %v", a.event, a.err)
		}
	}
	f.must(slot, ev("over"))
	if n, b := f.Queue(); n != 0 || b != 0 {
		t.Errorf("an empty queue counts %d posts, %d bytes", n, b)
	}
}

// The queue is bounded in bytes. Posts that are parked for a load count as well.
func TestCommit_QueueIsBoundedInBytes(t *testing.T) {
	f := open(t, cow.Options{QueueBytes: 10_000})
	slot, cold := f.slot(), f.slot()
	f.must(cold, ev("a"))
	f.Cool(cold)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	body := func(n int) string { return `{"p":"` + strings.Repeat("x", n-8) + `"}` }
	parked := f.queued(cold, body(6000))
	f.until("the load", func() bool { return f.m.Loads() == 1 })
	f.must(slot, body(4000))
	if _, err := f.post(slot, body(4001)); !errors.Is(err, cow.ErrBusy) {
		t.Fatalf("a post over the bytes of the queue: error %v, want ErrBusy", err)
	}
	close(load)
	f.wait(parked)
	f.must(slot, body(10_000))
	if n, b := f.Queue(); n != 0 || b != 0 {
		t.Errorf("an empty queue counts %d posts, %d bytes", n, b)
	}
}

// A post that is not handed to the journal in time gets ErrBusy, and is never
// stored. A post that was handed over waits for the journal's word.
func TestCommit_ExpiredPostIsNeverStored(t *testing.T) {
	f := open(t, cow.Options{QueueTimeout: 150 * time.Millisecond})
	slot, cold := f.slot(), f.slot()
	f.must(cold, ev("a"))
	f.Cool(cold)
	load := make(chan struct{})
	f.m.OnLoad(func(cow.ID, uint64) error { <-load; return nil })
	parked := f.later(cold, ev("parked"))
	f.until("the load", func() bool { return f.m.Loads() == 1 })
	entered, release := f.m.Hold()
	defer release()
	handed := f.later(slot, ev("handed"))
	<-entered
	queued := f.later(slot, ev("queued"))
	for _, c := range []<-chan answer{parked, queued} {
		if a := f.wait(c); !errors.Is(a.err, cow.ErrBusy) {
			t.Fatalf("%s: error %v, want ErrBusy", a.event, a.err)
		}
	}
	if n := f.Stats().PostsExpired.Load(); n != 2 {
		t.Errorf("%d expired posts are counted", n)
	}
	if n, b := f.Queue(); n != 0 || b != 0 {
		t.Errorf("expired posts still count: %d posts, %d bytes", n, b)
	}
	f.unanswered(handed, "while the journal is held")
	close(load)
	release()
	if a := f.wait(handed); a.err != nil {
		t.Fatalf("the post that the journal had: %v", a.err)
	}
	f.must(slot, ev("after"))
	f.must(cold, ev("after"))
	f.holds(slot, ev("handed"), ev("after"))
	f.holds(cold, ev("a"), ev("after"))
}

// While a commit hangs new posts are turned away, readers are not harmed, and
// posts go on when it ends. The clock is a virtual one.
func TestCommit_StalledCommitTurnsPostsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(lockedLog)
		f := open(t, cow.Options{StallAfter: time.Second, Logger: slog.New(slog.NewTextHandler(log, nil))})
		defer f.close()
		slot := f.slot()
		f.must(slot, ev("a"))
		entered, release := f.m.Hold()
		defer release()
		held := f.later(slot, ev("held"))
		<-entered
		soon := f.queued(slot, ev("soon"))
		time.Sleep(2 * time.Second)
		for range 2 {
			if _, err := f.post(slot, ev("late")); !errors.Is(err, cow.ErrBusy) {
				t.Fatalf("a post while a commit hangs: error %v, want ErrBusy", err)
			}
		}
		if n := f.Stats().PostsStalled.Load(); n != 2 {
			t.Errorf("%d posts are counted as turned away", n)
		}
		if commit, post := f.CommitAge(), f.OldestWait(); commit.Round(time.Second) != 2*time.Second || post.Round(time.Second) != 2*time.Second {
			t.Errorf("a commit and a post that wait for 2 s have ages of %v and %v", commit, post)
		}
		start := time.Now()
		f.holds(slot, ev("a"))
		f.subscribe(slot, true, "").Close()
		if d := time.Since(start); d > 0 {
			t.Errorf("I7: readers waited %v for a commit that hangs", d)
		}
		release()
		f.wait(held)
		f.wait(soon)
		f.must(slot, ev("late"))
		f.holds(slot, ev("a"), ev("held"), ev("soon"), ev("late"))
		if n, commit, post := f.Stats().CommitsStalled.Load(), f.CommitAge(), f.OldestWait(); n != 1 || commit != 0 || post != 0 {
			t.Errorf("%d commits hung; ages of %v and %v where nothing waits", n, commit, post)
		}
		for line, n := range map[string]int{"a commit hangs": 1, "a commit took long": 1, "took=2s posts_turned_away=2": 1} {
			if strings.Count(log.String(), line) != n {
				t.Errorf("the log does not say %q once:\n%s", line, log.String())
			}
		}
	})
}

// While the disk is nearly full posts are refused before the journal sees them.
// Readers and removals go on. When there is room again posts go on too.
func TestCommit_NoSpace(t *testing.T) {
	free := make(chan uint64, 1)
	free <- 1 << 30
	opts := cow.Options{Reserve: 1000, Free: func() (uint64, error) {
		n := <-free
		free <- n
		return n, nil
	}}
	f := open(t, opts)
	slot, other := f.slot(), f.slot()
	f.must(slot, ev("a"))
	<-free
	free <- 999
	f.until("the disk to be found full", func() bool {
		_, err := f.post(slot, `{"filler":1}`)
		return errors.Is(err, cow.ErrNoSpace)
	})
	before := slot.Count()
	commits := f.m.Commits()
	if _, err := f.post(slot, ev("b")); !errors.Is(err, cow.ErrNoSpace) {
		t.Fatalf("post: error %v, want ErrNoSpace", err)
	}
	if _, _, _, err := f.Allocate(); !errors.Is(err, cow.ErrNoSpace) {
		t.Fatalf("allocate: error %v, want ErrNoSpace", err)
	}
	if f.m.Commits() != commits {
		t.Error("the journal saw a post that was refused")
	}
	f.duplicate(slot, ev("a")) // needs no room
	if slot.Count() != before || f.page(slot, "", 1) != "["+ev("a")+"]" {
		t.Error("readers see another slot than before")
	}
	if err := f.Remove(other); err != nil {
		t.Errorf("remove, which makes room: %v", err)
	}
	if n := f.Stats().PostsNoSpace.Load(); n < 2 {
		t.Errorf("%d posts are counted as refused", n)
	}
	<-free
	free <- 1 << 30
	f.until("room", func() bool { _, err := f.post(slot, ev("b")); return err == nil })
	f.duplicate(slot, ev("b"))
}

// lockedLog is a log that many goroutines write.
type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// The slot that holds most, and those that are nearly full, are known, and so is what
// came and went.
func TestStore_Fullest(t *testing.T) {
	f := open(t, cow.Options{})
	a, b := f.slot(), f.slot()
	f.must(a, ev("a"))
	if bytes, near := f.Fullest(); bytes != a.Bytes() || bytes == 0 || near != 0 {
		t.Errorf("the fullest of an event holds %d bytes, %d are near full", bytes, near)
	}
	for i := 0; b.Bytes() < cow.MaxSlotBytes/10*9; i++ {
		f.must(b, fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, strings.Repeat("x", event.MaxBytes-100)))
	}
	if bytes, near := f.Fullest(); bytes != b.Bytes() || near != 1 {
		t.Errorf("the fullest holds %d bytes of %d, %d are near full", bytes, b.Bytes(), near)
	}
	if err := f.Remove(b); err != nil {
		t.Fatal(err)
	}
	if bytes, near := f.Fullest(); bytes != a.Bytes() || near != 0 {
		t.Errorf("with the fullest removed: %d bytes, %d near full", bytes, near)
	}
	if made, gone := f.Stats().SlotsMade.Load(), f.Stats().SlotsRemoved.Load(); made != 2 || gone != 1 {
		t.Errorf("%d slots made, %d removed", made, gone)
	}
}
