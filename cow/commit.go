package cow

import (
	"hash/maphash"
	"sync"
	"time"
)

// The commit pipeline brings posts into the journal and then to the readers.
//
// # The stages
//
//	gather   take what waits, until the batch is full          commit_decide.go
//	decide   one post: new, a duplicate, too much, or to wait  commit_decide.go
//	send     seal the batch: one group for each slot           commit_send.go
//	commit   the journal stores the groups: durable            commit_send.go
//	finish   indexed, visible, woken, acknowledged             commit_finish.go
//
// # The goroutines
//
// Posters, any number: each accepts an event, puts a post into the queue and
// waits for its answer (commit_post.go, commit_queue.go). They touch no slot.
//
// The loop, one: it gathers, decides, sends and finishes. It is the one owner of
// every slot's future: it alone appends to a slot, makes it, buries it, or takes
// it out of memory. It never reads the disk. A slot or chunk that is not in
// memory is loaded elsewhere, while the posts that need it are parked
// (commit_park.go).
//
// The writer, one (writeBatches): it has the journal store a batch and hands it
// back. Only the journal touches the batch's groups meanwhile. If the loop has
// nothing to finish at that time, it calls the journal itself.
//
// # The way of a post
//
//	         put           gather          new
//	poster ------> queue --------> decide -----> batch --> the journal --> answer
//	                                ^    |
//	                                |    |  a duplicate, no room, no slot
//	                                |    +----------------------------> answer
//	                                |    |  can't be decided yet
//	                                +----+ held, or parked
//
// # The way of a batch
//
// At most two are on it: one is filled or written while the other is finished.
//
//	          send               commit             finish
//	filling -------> sealed -----------------> landed -------> empty, to be filled
//	c.next           with the journal          c.landed
//
// When a batch has landed the loop first decides and sends the next one, and
// finishes the landed one behind that. So its readers and posters are served
// while the journal syncs. Two rules keep this sound:
//
//   - No decision rests on an append that may have failed. A post to a slot of the
//     landed batch is held.
//   - A held post does not miss a batch. If there is one, the landed batch is
//     finished before the next one is sent, and the post goes into that.
//
// A post of many events becomes part of one append, and so of one group: durable,
// visible and acknowledged at once, or not at all. Such posts have a queue of their
// own, and each batch has a little room for them beside single posts (commit_batch.go,
// gatherMany).
//
// Where CPU time is short, the loop may hold a small batch back for a moment
// (company, in commit_decide.go).
//
// # All others
//
// Loads that have ended, the budget, other writers and probes ask the loop by
// the inbox (commit_inbox.go). The loop runs it when nothing is decided, written
// or unfinished, so it may change any slot then. While it waits for the journal,
// whose disk may hang, loads take slots out of memory in its place (coolMeanwhile).
// What other writers did, and
// appends whose outcome is unknown, are in commit_others.go: a journal with one
// writer, which always knows, does not lead there. Over a journal that relays share
// the loop takes its turns as commit_shared.go says.
type commitPipeline struct {
	env   commitEnv
	queue *postQueue
	inbox *inbox

	// The loop sends a sealed batch to toJournal, and receives it from fromJournal
	// when it has landed. Both have a capacity of 1, and one batch at most is in
	// them, so no send waits.
	toJournal   chan *batch
	fromJournal chan *batch

	// reins are the loop's, but for the time that it waits for the journal: coolMeanwhile
	// has them then.
	reins sync.Mutex

	// Owned by the loop, as are all methods but writeBatches, commitBatch and
	// coolMeanwhile.
	next     *batch  // filling
	landed   *batch  // not finished yet; or nil
	creating int64   // slots that next and landed will make
	touched  []*Slot // the times of their last pulls are to be written
	away     awaited
	crowded  bool // the batch that was sent last had posts of many events
	backlog  backlog
	company  company
	parking  *parking
	others   *others
	pool     batchPool
}

func newCommitPipeline(env commitEnv, q *postQueue, in *inbox) *commitPipeline {
	c := &commitPipeline{
		env: env, queue: q, inbox: in,
		toJournal: make(chan *batch, 1), fromJournal: make(chan *batch, 1),
		next: new(batch),
	}
	c.company.wait, c.company.timer = env.wait, time.NewTimer(time.Hour)
	c.company.timer.Stop()
	c.reins.Lock()
	c.parking = &parking{env: &c.env, queue: q, inbox: in, backlog: &c.backlog, slots: make(map[*Slot]*parked)}
	c.others = &others{env: &c.env, queue: q, inbox: in, parking: c.parking, slots: make(map[*Slot]*catchUp)}
	return c
}

// loop runs until stop is closed and nothing waits any more. It ends the
// goroutine of writeBatches.
func (c *commitPipeline) loop(stop <-chan struct{}) {
	defer close(c.toJournal)
	defer c.inbox.end()
	if c.env.shared {
		c.sharedLoop(stop)
		return
	}
	for c.turn() || c.rest(stop) {
	}
}

// turn goes through the stages once. False: it found nothing to write or to
// finish.
func (c *commitPipeline) turn() bool {
	c.runInbox()
	c.gather()
	if len(c.backlog.held) > 0 { // they may rest on the landed batch
		c.finish()
		c.gather()
	}
	c.holdBack()
	b := c.send()
	switch {
	case b != nil && c.landed == nil: // nothing to do meanwhile: spare the switch of goroutines
		c.reins.Unlock()
		c.commitBatch(b)
		c.reins.Lock()
		c.landed = b
	case b != nil:
		c.toJournal <- b
		c.finish()
		c.reins.Unlock()
		b = <-c.fromJournal
		c.reins.Lock()
		c.landed = b
	case c.landed != nil:
		c.finish()
	case !c.backlog.empty(): // it rested on what send refused
		c.backlog.release()
	default:
		return false
	}
	return true
}

// rest waits for something to do. False: the store closes, and nothing waits.
func (c *commitPipeline) rest(stop <-chan struct{}) bool {
	select {
	case p := <-c.queue.posts:
		c.backlog.todo = append(c.backlog.todo, p)
	case p := <-c.queue.many:
		c.backlog.many = append(c.backlog.many, p)
	case <-c.inbox.wake:
	case <-stop:
		c.others.giveUp()
		if c.queue.empty() && c.parking.empty() && c.inbox.empty() {
			return false
		}
		time.Sleep(time.Millisecond) // posts are parked: their loads end soon
	}
	return true
}

// runInbox runs what others than posters asked for.
func (c *commitPipeline) runInbox() {
	if c.inbox.empty() {
		return
	}
	c.finish()
	c.run(c.inbox.take(true))
}

// run does what letters ask for. What is about a slot that a batch holds waits in
// c.away.later; without other writers no batch holds one now.
func (c *commitPipeline) run(l letters) {
	later := &c.away.later
	for i := range l.fed {
		f := &l.fed[i]
		if slot := c.env.slot(f.Slot); slot != nil && c.busy(slot) {
			later.fed, later.fedSize = append(later.fed, *f), later.fedSize+f.size()
			continue
		}
		c.others.fed(f)
	}
	for i := range l.loaded {
		if n := &l.loaded[i]; c.busy(n.slot) {
			later.loaded = append(later.loaded, *n)
		} else {
			c.parking.loaded(n)
		}
	}
	for i := range l.caught {
		if n := &l.caught[i]; c.busy(n.slot) {
			later.caught = append(later.caught, *n)
		} else {
			c.others.caughtUp(n)
		}
	}
	for _, slot := range l.retry {
		if c.busy(slot) {
			later.retry = append(later.retry, slot)
		} else {
			c.others.retry(slot)
		}
	}
	for slot := range l.recount {
		if c.busy(slot) {
			later.addRecount(slot)
		} else {
			c.others.recount(slot)
		}
	}
	c.cool(l.cool)
	c.touched = append(c.touched, l.touched...)
	for _, answer := range l.probes {
		answer()
	}
	if len(later.fed) > 0 { // those who ask want all that was fed before
		later.settles = append(later.settles, l.settles...)
		return
	}
	for _, n := range l.settles {
		if !n.waited && n.slot != nil && c.busy(n.slot) {
			// The batch may be in the log already, and another relay show it: it belongs to
			// what was asked for. One batch is waited for. A later one came behind.
			n.waited = true
			later.settles = append(later.settles, n)
			continue
		}
		c.others.settle(n)
	}
}

// busy says whether a batch holds the slot: nothing of it may change but by that.
func (c *commitPipeline) busy(slot *Slot) bool {
	return slot.pending != nil || slot.leaving || slot.trimmed
}

// mayCool says whether no post needs the slot in memory.
func (c *commitPipeline) mayCool(slot *Slot) bool {
	return !c.busy(slot) && !c.parking.holds(slot)
}

// cool takes slots out of memory.
func (c *commitPipeline) cool(slots []*Slot) {
	for _, slot := range slots {
		if c.mayCool(slot) {
			c.env.budget.cool(slot)
		}
	}
}

// coolMeanwhile does what the budget asks of the loop, if the loop waits for the
// journal. It changes only slots that no batch and no post holds, and the loop looks
// at nothing before it has the reins again. Any goroutine may call it.
func (c *commitPipeline) coolMeanwhile() {
	if c.reins.TryLock() {
		defer c.reins.Unlock()
		c.cool(c.inbox.takeCool())
	}
}

// commitEnv is the world of the commit pipeline: all that it touches beside the
// slots and posts that it is handed. Tests give it another one, without a
// journal and without a store.
//
// What every post needs is a value here. The functions are called at most once
// for a batch, an act, a load, or an append of another writer.
type commitEnv struct {
	clock  clock
	seed   maphash.Seed // of the hashes of ids
	stats  *Stats
	budget *budget
	wait   time.Duration // Options.CommitWait
	shared bool          // other relays write to the journal: see commit_shared.go

	// write is Journal.Commit.
	write func([]Group)
	// committed hears of each batch that has landed. It may be nil.
	committed func(posts, bytes int, took time.Duration)
	// room says whether the disk has room for more: ErrNoSpace if not.
	room func() error

	// The table of slots. Only the loop changes it.
	slotsLeft func() int64     // how many more slots may be made
	slot      func(ID) *Slot   // nil: there is none
	enter     func(*Slot)      // makes a slot known that is in the journal, unless it is
	bury      func(slot *Slot) // makes a slot unreachable that the journal has no more

	// Reads of the journal, so that the loop never waits for a disk. Each returns
	// at once. then is called later on another goroutine, or before the return if
	// the store closes.
	loadSlot   func(slot *Slot, then func(error))
	loadChunk  func(slot *Slot, c *chunk, then func(*segment, error))
	loadBehind func(slot *Slot, from uint64, then func(got []foreign, more bool, err error))
	catchUps   int // how many loadBehind may run at once
}

// hotPart returns the hot part of a slot. A cold slot without events gets one.
// Nil: the slot must be loaded.
func (e *commitEnv) hotPart(slot *Slot) *hot {
	for {
		if h := slot.hot.Load(); h != nil {
			return h
		}
		if slot.count.Load() > 0 {
			return nil
		}
		if h := e.budget.firstHeat(slot); h != nil {
			return h
		} // else a load was faster
	}
}
