package replay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

// SharedJournal is a journal and a set of records made of a log that many relays write
// to and a store of this relay. OpenShared makes it. It must not be copied. Methods may
// be called concurrently, but Close only beside those that wait for the log.
//
// Entries of this relay are pending from when they are made until the follower has
// applied them. They are sent again, all of them in order, when there was trouble or no
// progress. What the log's servers answer is not asked.
//
// Goroutines, all of which Close ends:
//
//	follower  takes what the log yields, and owns the state
//	applier   brings it into the store
//	sender    makes entries of records and barriers (a Commit makes its own)
//	resender  sends again what is pending
//	watcher   asks the log for its end
//	feeder    gives to cow what other relays did
type SharedJournal struct {
	machine
	log SharedLog

	// sendMu is held while an entry is made, numbered and sent. So the order of the
	// numbers is that of the calls of Send. It is taken before mu, queueMu and the
	// backlog's.
	sendMu sync.Mutex
	number uint64 // of the newest entry of producer; guarded by sendMu

	mu       sync.Mutex
	producer uint64 // written with sendMu and mu, read with either
	// forgotten: the log does not know producer any more. The follower sets it, the
	// resender takes another producer; guarded by mu.
	forgotten bool
	pending   []*pending    // in the order of their numbers; guarded by mu
	bytes     int           // of their entries; guarded by mu
	room      *sync.Cond    // on mu: pending got shorter, or the journal stops
	applied   uint64        // entry of the log that this relay has applied; guarded by mu
	digest    uint64        // behind it; guarded by mu
	moved     time.Time     // when pending began, or got shorter; guarded by mu
	waiting   *barrier      // of those that wait for an entry that is yet to be made; guarded by mu
	stopped   bool          // Stop was called; guarded by mu
	turns     chan struct{} // holds one for each send of the sender that is pending

	feed     feedQueue
	release  func()        // lets the follower go on behind where OpenShared ended
	released chan struct{} // closed by release

	wake     chan struct{}  // for the sender: a record or a barrier waits
	again    chan struct{}  // for the resender: an entry was lost
	stopWait chan struct{}  // closed by Stop: nobody waits for the log any more
	commits  sync.WaitGroup // that run
	cancel   context.CancelFunc
	ctx      context.Context // of the goroutines but the applier
	tasks    sync.WaitGroup  // of the goroutines but the applier

	opening opening
	sharedCounters
}

// sharedCounters are those behind SharedStats and Health that no lock guards.
type sharedCounters struct {
	appliedLog atomic.Uint64 // as applied
	head       atomic.Uint64 // newest entry that the log is known to have; only goes up
	stuck      atomic.Int64  // moved in Unix nanoseconds, 0 while nothing is pending
	base       uint64        // set before OpenShared returns
	format     atomic.Uint32 // see Format; only goes up

	seen, own, resent, ignored, doubles atomic.Uint64 // see SharedStats
}

var (
	_ cow.Journal = (*SharedJournal)(nil)
	_ cow.Records = (*SharedJournal)(nil)
	_ cow.Shared  = (*SharedJournal)(nil)
)

// Commit implements cow.Journal: one entry or more, with all records that wait. It
// returns when they were applied here. Each group becomes one of these:
//
//   - Stored.
//   - Conflict: the slot has another version, does not exist or, for OpCreate,
//     exists.
//   - Refused: the group contradicts itself, which is a programming error.
//   - Unknown: Stop was called before the entry was seen.
//
// While the log can't be reached it waits.
func (j *SharedJournal) Commit(groups []cow.Group) {
	if len(groups) == 0 {
		return
	}
	j.commits.Add(1)
	defer j.commits.Done()
	j.release()
	w := &commitWait{left: 1, done: make(chan struct{})}
	j.send(groups, w, false)
	j.mu.Lock()
	w.less()
	j.mu.Unlock()
	select {
	case <-w.done:
	case <-j.stopWait:
		j.mu.Lock()
		w.given = true // the groups are the caller's again
		j.mu.Unlock()
	}
}

// commitWait is a Commit that waits for its entries. SharedJournal.mu guards it.
type commitWait struct {
	left  int // entries, and one until all are made
	given bool
	done  chan struct{} // closed when none is left
}

func (w *commitWait) less() {
	if w.left--; w.left == 0 {
		close(w.done)
	}
}

// Put implements cow.Records. cow.ErrAway: the log did not show the entry within
// Options.Patience, or Stop was called. It may come yet.
func (j *SharedJournal) Put(key string, value []byte, expected uint64, count cow.Totals) (uint64, error) {
	if err := checkRecord(key, value); err != nil {
		return 0, err
	}
	return j.swap(key, value, expected, false, count)
}

// Delete implements cow.Records, with the errors of Put.
func (j *SharedJournal) Delete(key string, expected uint64) error {
	_, err := j.swap(key, nil, expected, true, cow.Totals{})
	return err
}

// swap queues an op for the sender or a Commit, and waits. Only the log can say what
// becomes of it: other relays may have changed the record.
func (j *SharedJournal) swap(key string, value []byte, expected uint64, remove bool, count cow.Totals) (uint64, error) {
	op := j.ops.Get().(*recordOp)
	// An entry may be made of it when the caller is gone, so it has its own bytes.
	op.key, op.value, op.expected, op.remove, op.count = key, slices.Clone(value), expected, remove, count
	j.queueMu.Lock()
	j.queue = append(j.queue, op)
	j.queueMu.Unlock()
	signal(j.wake)
	patience := time.NewTimer(j.opts.Patience)
	defer patience.Stop()
	select {
	case <-op.done:
		version, err := op.version, op.err
		*op = recordOp{done: op.done}
		j.ops.Put(op)
		return version, err
	case <-patience.C:
	case <-j.stopWait:
	}
	j.unqueue(op) // an entry under way may still answer it: it is not used again
	return 0, cow.ErrAway
}

// unqueue takes an op that nobody waits for out of the queue, if it is there. Those
// that give up came first.
func (j *SharedJournal) unqueue(op *recordOp) {
	j.queueMu.Lock()
	defer j.queueMu.Unlock()
	if i := slices.Index(j.queue, op); i >= 0 {
		j.queue = slices.Delete(j.queue, i, i+1)
	}
}

// signal wakes a goroutine that waits on a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// barrier is what all wait for that called Barrier before one entry was made.
type barrier struct {
	waiters int           // guarded by SharedJournal.mu
	done    chan struct{} // closed when the entry was applied and all before it fed
}

// Barrier implements cow.Shared. It is an entry that is made after the call and seen
// applied: what was acknowledged before the call stood in the log before, and so was
// applied before. Any entry will do, and all that wait share one.
func (j *SharedJournal) Barrier(ctx context.Context) error {
	j.mu.Lock()
	if j.waiting == nil {
		j.waiting = &barrier{done: make(chan struct{})}
	}
	b := j.waiting
	b.waiters++
	j.mu.Unlock()
	signal(j.wake)
	var err error
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-j.stopWait:
		err = cow.ErrAway
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if b.waiters--; b.waiters == 0 && j.waiting == b {
		j.waiting = nil
	}
	return err
}

// Feed implements cow.Journal: deliver gets what other relays did, and nothing that
// this relay did. It begins exactly behind what Slots gave before. If deliver does not
// keep up, it gets appends without their events.
func (j *SharedJournal) Feed(deliver func(*cow.Append)) {
	j.feed.start()
	j.task("replay-feed", func() { j.feed.run(j.ctx, deliver) })
	j.release()
}

// Stop ends all waits for the log, now and later: Commit leaves what it does not know
// as Unknown, Put, Delete and Barrier return cow.ErrAway. It is for the end of a
// program whose log can't be reached. It may be called more than once.
func (j *SharedJournal) Stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.stopped {
		j.stopped = true
		close(j.stopWait)
		j.room.Broadcast()
	}
}

// closePatience is how long Close waits for the log to take what Count has added.
const closePatience = 2 * time.Second

// Close implements cow.Journal. It makes durable in the store what was applied, and
// closes both. What is pending may come into the log or not. Commit, Put, Delete and
// Barrier may run when Close is called: then it ends them as Stop does.
func (j *SharedJournal) Close() error {
	j.release()
	if j.backlog.counts() && j.log.Away().IsZero() {
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		j.Barrier(ctx) // its entry takes the counts along
		cancel()
	}
	j.end()
	if j.dead.Load() {
		select {}
	}
	err := j.applyAll()
	if err == nil {
		err = j.store.Flush()
	}
	return errors.Join(err, j.log.Close(), j.store.Close())
}

// end stops the goroutines and waits for them.
func (j *SharedJournal) end() {
	j.Stop()
	j.commits.Wait()
	j.cancel()
	j.tasks.Wait()
	close(j.stop)
	j.wg.Wait()
}

// Health implements cow.Shared.
func (j *SharedJournal) Health() cow.Health {
	h := cow.Health{Applied: j.appliedLog.Load()}
	h.Head = max(h.Applied, j.head.Load())
	if at := j.log.Away(); !at.IsZero() {
		h.Away = max(time.Since(at), 1)
	}
	// The log may be reached and take nothing.
	if at := j.stuck.Load(); at != 0 {
		if stuck := time.Since(time.Unix(0, at)); stuck > 2*j.opts.ResendAfter {
			h.Away = max(h.Away, stuck)
		}
	}
	return h
}

// Durable is the newest entry of the log that the store keeps over a crash, with all
// before it. This relay needs no entry up to it any more.
func (j *SharedJournal) Durable() uint64 { return j.store.Durable() - j.base }
