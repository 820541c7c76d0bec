package cow

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func queued(q *postQueue, bytes int64) (*Post, error) {
	p := &Post{queue: q, bytes: bytes, done: make(chan struct{}, 1)}
	return p, q.put(p)
}

// The queue's bounds are exact, and what leaves makes room.
func TestQueue_Bounds(t *testing.T) {
	var stats Stats
	q := newPostQueue(queueLimits{posts: 2, bytes: 100, stallAfter: time.Hour}, clock{time.Now()}, &stats)
	first, err := queued(q, 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queued(q, 41); err != ErrBusy {
		t.Errorf("over the bytes: %v", err)
	}
	if _, err := queued(q, 40); err != nil {
		t.Errorf("within the bytes: %v", err)
	}
	if _, err := queued(q, 0); err != ErrBusy {
		t.Errorf("over the posts: %v", err)
	}
	<-q.posts
	if !q.take(first) {
		t.Fatal("the post can't be taken")
	}
	if _, err := queued(q, 60); err != nil {
		t.Errorf("when one has left: %v", err)
	}
	if posts, bytes := q.waiting(); posts != 2 || bytes != 100 {
		t.Errorf("%d posts of %d bytes wait", posts, bytes)
	}
	if n := stats.PostsRejected.Load(); n != 2 {
		t.Errorf("%d rejected posts are counted", n)
	}
	q.close()
	if _, err := queued(q, 0); err != ErrClosed {
		t.Errorf("closed: %v", err)
	}
	if _, err := q.admitRecord(); err != ErrClosed {
		t.Errorf("a record, closed: %v", err)
	}
}

// Nothing comes in while a commit takes too long.
func TestQueue_Stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.c.queue
		slot := w.slotOf()
		w.onWrite = func() {
			time.Sleep(q.limits.stallAfter)
			if !q.writing() || q.stalled() {
				t.Error("stalled too soon")
			}
			time.Sleep(time.Millisecond)
			if _, err := queued(q, 0); err != ErrBusy {
				t.Errorf("a post: %v", err)
			}
			if _, err := q.admitRecord(); err != ErrBusy {
				t.Errorf("a record: %v", err)
			}
		}
		w.post(slot, "a")
		w.run()
		if q.writing() || q.stalled() {
			t.Error("still stalled")
		}
		if n := w.stats.PostsStalled.Load(); n != 1 {
			t.Errorf("%d posts are counted", n)
		}
	})
}

// A poster gives up after its patience, unless the loop has taken its post: then
// it hears what the journal says, however late.
func TestQueue_Patience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := w.c.queue
		submit := func() (*Post, chan error) {
			p := &Post{queue: q, bytes: 5, done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
			told := make(chan error, 1)
			go func() { _, err := q.submit(p); told <- err }()
			synctest.Wait()
			return p, told
		}
		p, told := submit()
		time.Sleep(q.limits.patience)
		if err := <-told; err != ErrBusy || q.take(p) {
			t.Errorf("the poster hears %v; may the loop still take its post?", err)
		}
		p, told = submit()
		if !q.take(p) {
			t.Fatal("the post can't be taken")
		}
		time.Sleep(2 * q.limits.patience)
		q.answer(p, false, errDisk)
		if err := <-told; !errors.Is(err, errDisk) {
			t.Errorf("the poster hears %v", err)
		}
		if posts, bytes := q.waiting(); posts != 0 || bytes != 0 {
			t.Errorf("%d posts of %d bytes wait", posts, bytes)
		}
		if n := w.stats.PostsExpired.Load(); n != 1 {
			t.Errorf("%d posts are counted", n)
		}
	})
}
