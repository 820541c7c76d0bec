package cow

import (
	"sync/atomic"
	"time"
)

// queueLimits bound what waits in a postQueue.
type queueLimits struct {
	posts      int           // that wait for the journal, parked ones included
	bytes      int64         // of their events
	patience   time.Duration // how long a poster waits for the loop to take its post
	stallAfter time.Duration // a commit that takes longer turns new posts away
}

// postQueue is where posters and the commit loop meet. Any number of posters
// submit. The loop alone takes and answers.
//
// It also admits the requests that write records beside the slots: those are
// turned away for the same reasons as posts.
type postQueue struct {
	limits queueLimits
	clock  clock
	stats  *Stats

	// posts: the loop receives. A post whose poster gave up stays in it until
	// the loop passes over it.
	posts chan *Post
	// count and bytes: submit adds, and whoever ends the wait of a post (see the
	// picture at Post) subtracts.
	count, bytes atomic.Int64
	// closed: submit adds to count first and looks at closed second; the loop
	// ends when closed was set first and count was 0 second. So no post is left
	// without an answer.
	closed atomic.Bool
	// writeBegan is when the commit under way began, on the clock; 0 for none.
	// commitBatch stores it. Posters learn from it that the disk hangs.
	writeBegan atomic.Int64
	// records is how many requests are writing a record.
	records atomic.Int64
}

func newPostQueue(limits queueLimits, c clock, stats *Stats) *postQueue {
	return &postQueue{limits: limits, clock: c, stats: stats, posts: make(chan *Post, limits.posts)}
}

// The posters' side.

// submit hands a post to the loop and waits for its answer.
func (q *postQueue) submit(p *Post) (duplicate bool, err error) {
	if err := q.put(p); err != nil {
		p.state.Store(postAbandoned)
		return false, err
	}
	p.timer.Reset(q.limits.patience)
	select {
	case <-p.done:
	case <-p.timer.C:
		if p.state.CompareAndSwap(postQueued, postAbandoned) {
			q.leave(p)
			q.stats.PostsExpired.Add(1)
			p.queue = nil // the loop may still hold it: Release leaves it to the collector
			return false, ErrBusy
		}
		<-p.done // the loop has taken it, and only the journal can say what becomes of it
	}
	p.timer.Stop()
	return p.duplicate, p.err
}

// put queues a post, or says why not.
func (q *postQueue) put(p *Post) error {
	if q.stalled() {
		q.stats.PostsStalled.Add(1)
		return ErrBusy
	}
	n := q.count.Add(1)
	bytes := q.bytes.Add(p.bytes)
	if q.closed.Load() {
		q.leave(p)
		return ErrClosed
	}
	if n <= int64(q.limits.posts) && bytes <= q.limits.bytes {
		select {
		case q.posts <- p:
			return nil
		default: // full of posts whose posters gave up
		}
	}
	q.leave(p)
	q.stats.PostsRejected.Add(1)
	return ErrBusy
}

// leave takes a post out of the counts.
func (q *postQueue) leave(p *Post) {
	q.count.Add(-1)
	q.bytes.Add(-p.bytes)
}

// waiting returns how many posts wait for the journal and the bytes of their
// events.
func (q *postQueue) waiting() (posts, bytes int64) { return q.count.Load(), q.bytes.Load() }

// admitRecord lets a request write a record beside the slots. It refuses while
// the disk hangs, when as many requests do so as posts may wait, and when the
// store closes. done must be called when the record is written.
func (q *postQueue) admitRecord() (done func(), err error) {
	switch {
	case q.closed.Load():
		return nil, ErrClosed
	case q.stalled():
		return nil, ErrBusy
	}
	if q.records.Add(1) > int64(q.limits.posts) {
		q.records.Add(-1)
		return nil, ErrBusy
	}
	return func() { q.records.Add(-1) }, nil
}

// writing says whether the journal has a batch.
func (q *postQueue) writing() bool { return q.writeBegan.Load() != 0 }

// stalled says whether the journal has had a batch for so long that the disk
// must hang.
func (q *postQueue) stalled() bool {
	began := q.writeBegan.Load()
	return began != 0 && q.clock.now()-began > int64(q.limits.stallAfter)
}

// close turns away what comes from now on.
func (q *postQueue) close() { q.closed.Store(true) }

// The loop's side.

// take makes the loop the one that answers p. False: its poster gave up.
func (q *postQueue) take(p *Post) bool {
	if !p.state.CompareAndSwap(postQueued, postTaken) {
		return p.state.Load() == postTaken
	}
	q.leave(p)
	return true
}

// answer tells the poster what became of its post, unless it gave up.
func (q *postQueue) answer(p *Post, duplicate bool, err error) {
	if !q.take(p) {
		return
	}
	p.duplicate, p.err = duplicate, err
	switch {
	case p.kind != postEvent || err != nil:
	case duplicate:
		q.stats.PostsDuplicate.Add(1)
	default:
		q.stats.PostsStored.Add(1)
	}
	p.done <- struct{}{}
}

// empty says whether no post waits, in the channel or elsewhere.
func (q *postQueue) empty() bool { return q.count.Load() == 0 && len(q.posts) == 0 }

// answerAll gives all posts the same answer.
func (q *postQueue) answerAll(posts []*Post, duplicate bool, err error) {
	for _, p := range posts {
		q.answer(p, duplicate, err)
	}
}
