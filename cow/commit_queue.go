package cow

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// queueLimits bound what waits in a postQueue. Posts of many events have bounds of
// their own beside those, so that they leave room for the others.
type queueLimits struct {
	posts      int           // that wait for the journal, parked ones included
	bytes      int64         // of their events, those of posts of many events included
	patience   time.Duration // how long a poster waits for the loop to take its post
	stallAfter time.Duration // a commit that takes longer turns new posts away
	// away, if set, is for how long the log can't be reached that relays share. A slow
	// commit turns nobody away then: that is a log that is away, and no disk that hangs.
	away func() time.Duration
}

// postQueue is where posters and the commit loop meet. Any number of posters
// submit. The loop alone takes and answers.
//
// Posts of many events have a queue of their own. The loop takes few of them into a
// batch, so others don't wait behind them. They count with their events, which may be
// manyTimes the posts, and they may take half of the bytes. Beyond either they are
// turned away, but for one that is alone.
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
	many  chan *Post // the same of posts of many events
	free  sync.Pool  // of *Post, for newPost
	// The counts: submit adds, and whoever ends the wait of a post (see the
	// picture at Post) subtracts.
	count      atomic.Int64 // posts of one event, and acts
	bytes      atomic.Int64 // of all posts
	manyEvents atomic.Int64 // of posts of many events
	manyBytes  atomic.Int64 // the same
	// closed: submit adds to a count first and looks at closed second; the loop
	// ends when closed was set first and both counts were 0 second. So no post is
	// left without an answer.
	closed atomic.Bool
	// writeBegan is when the commit under way began, on the clock; 0 for none.
	// commitBatch stores it. Posters learn from it that the disk hangs.
	writeBegan atomic.Int64
	// oldest is when the post was queued that has waited longest, as far as the queue
	// knows: the first one in an empty queue stores it, and then the loop, which takes
	// posts in their order, with each that it takes.
	oldest atomic.Int64
	// told is the writeBegan of the last commit that the log names as one that hangs.
	told atomic.Int64
	log  *slog.Logger // nil: nothing is logged
	// records is how many requests are writing a record.
	records atomic.Int64
}

func newPostQueue(limits queueLimits, c clock, stats *Stats) *postQueue {
	return &postQueue{
		limits: limits, clock: c, stats: stats,
		posts: make(chan *Post, limits.posts), many: make(chan *Post, limits.posts),
		free: sync.Pool{New: newFreePost},
	}
}

// manyTimes is how many events posts of many events may have in the queue, in times of
// the posts of one event.
const manyTimes = 4

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
			if q.limits.away != nil && q.limits.away() > 0 {
				return false, ErrAway
			}
			return false, ErrBusy
		}
		if q.limits.away != nil && p.state.CompareAndSwap(postTaken, postLeft) {
			q.stats.PostsExpired.Add(1)
			p.queue = nil // the journal may still read its memory
			return false, ErrAway
		}
		<-p.done // the loop has taken it, and only the journal can say what becomes of it
	}
	p.timer.Stop()
	if p.lent {
		p.queue = nil
	}
	return p.duplicate, p.err
}

// put queues a post, or says why not.
func (q *postQueue) put(p *Post) error {
	if q.stalled() {
		q.stats.PostsStalled.Add(1)
		q.tellHang()
		return ErrBusy
	}
	p.queuedNs = q.clock.now()
	to, fits := q.enter(p)
	if q.closed.Load() {
		q.leave(p)
		return ErrClosed
	}
	if fits {
		select {
		case to <- p:
			return nil
		default: // full of posts whose posters gave up
		}
	}
	q.leave(p)
	q.stats.PostsRejected.Add(1)
	return ErrBusy
}

// enter takes a post into the counts. It returns where the post goes, and whether the
// bounds have room for it.
func (q *postQueue) enter(p *Post) (to chan *Post, fits bool) {
	bytes := q.bytes.Add(p.bytes)
	if p.many == nil {
		n := q.count.Add(1)
		if n == 1 && q.manyEvents.Load() == 0 {
			q.oldest.Store(p.queuedNs)
		}
		return q.posts, n <= int64(q.limits.posts) && bytes <= q.limits.bytes
	}
	own := int64(len(p.many.events))
	events, share := q.manyEvents.Add(own), q.manyBytes.Add(p.bytes)
	alone := events == own
	if alone && q.count.Load() == 0 {
		q.oldest.Store(p.queuedNs)
	}
	return q.many, bytes <= q.limits.bytes &&
		(alone || events <= manyTimes*int64(q.limits.posts) && share <= q.limits.bytes/2)
}

// leave takes a post out of the counts.
func (q *postQueue) leave(p *Post) {
	q.bytes.Add(-p.bytes)
	if p.many == nil {
		q.count.Add(-1)
		return
	}
	q.manyEvents.Add(-int64(len(p.many.events)))
	q.manyBytes.Add(-p.bytes)
}

// waiting returns how many posts of one event wait for the journal, and the bytes of
// the events of all posts.
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
	return began != 0 && q.limits.away == nil && q.clock.now()-began > int64(q.limits.stallAfter)
}

// tellHang logs that the commit under way hangs, once for each commit.
func (q *postQueue) tellHang() {
	began := q.writeBegan.Load()
	if q.log != nil && began != 0 && q.told.Swap(began) != began {
		q.log.Warn("a commit hangs: posts get 503 until it ends", "for", time.Duration(q.clock.now()-began).Round(time.Millisecond).String())
	}
}

// wrote counts a commit that took so long that posts were turned away, or would have
// been, and logs it. turned is how many were.
func (q *postQueue) wrote(took time.Duration, turned uint64) {
	if took <= q.limits.stallAfter || q.limits.away != nil {
		return
	}
	q.stats.CommitsStalled.Add(1)
	if q.log != nil {
		q.log.Warn("a commit took long", "took", took.Round(time.Millisecond).String(), "posts_turned_away", turned)
	}
}

// oldestWait is how long the post waits that has waited longest. Posts that wait for
// their slot to be loaded may have waited longer.
func (q *postQueue) oldestWait() time.Duration {
	if q.count.Load() == 0 && q.manyEvents.Load() == 0 {
		return 0
	}
	return max(0, time.Duration(q.clock.now()-q.oldest.Load()))
}

// commitAge is how long the commit under way has taken, 0 if there is none.
func (q *postQueue) commitAge() time.Duration {
	began := q.writeBegan.Load()
	if began == 0 {
		return 0
	}
	return max(0, time.Duration(q.clock.now()-began))
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
	q.oldest.Store(p.queuedNs)
	if p.timed {
		p.takenNs = q.clock.now()
	}
	return true
}

// answer tells the poster what became of its post, unless it gave up. A post that was
// left counts as others do.
func (q *postQueue) answer(p *Post, duplicate bool, err error) {
	waits := q.take(p)
	if !waits && p.state.Load() != postLeft {
		return
	}
	p.duplicate, p.err = duplicate, err
	switch {
	case err != nil:
	case p.kind == postMany:
		q.stats.PostsStored.Add(uint64(p.many.fresh))
		q.stats.PostsDuplicate.Add(uint64(p.many.duplicates()))
	case p.kind != postEvent:
	case duplicate:
		q.stats.PostsDuplicate.Add(1)
	default:
		q.stats.PostsStored.Add(1)
	}
	if waits {
		p.done <- struct{}{}
	}
}

// acknowledge answers the posts whose append is durable and visible, and those whose
// ids are among its events. first is the position of its first event, end the one
// behind its last.
func (q *postQueue) acknowledge(posts, dups []*Post, first, end uint64) {
	for _, p := range posts {
		p.next = first + uint64(p.end)
		q.answer(p, false, nil)
	}
	for _, p := range dups {
		p.next = end
		q.answer(p, true, nil)
	}
}

// empty says whether no post waits, in the channels or elsewhere.
func (q *postQueue) empty() bool {
	return q.count.Load() == 0 && q.manyEvents.Load() == 0 && len(q.posts) == 0 && len(q.many) == 0
}

// answerAll gives all posts the same answer.
func (q *postQueue) answerAll(posts []*Post, duplicate bool, err error) {
	for _, p := range posts {
		q.answer(p, duplicate, err)
	}
}
