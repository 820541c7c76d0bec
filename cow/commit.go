package cow

import (
	"sync/atomic"
	"time"

	"cowrelay/cow/event"
)

const (
	batchPosts = 1024
	batchBytes = 4 << 20
)

// committer is the commit loop: the one owner of every slot's future. It takes
// all that waits, decides it slot by slot (dedupe, quota, position), has one
// batch written by the journal, and then, for each slot and in this order,
// enters the ids into the index, publishes the snapshot, wakes the subscribers
// and answers the posters (I3, I4, I5). It never reads the disk: a slot or
// chunk that is not in memory is loaded elsewhere while the posts that need it
// are parked.
//
// One batch is at the journal at a time. When it has landed, the next one is
// decided and sent first, and then the landed one is brought to its readers and
// posters: that hides behind the sync of the other. This goes only for batches
// that have no slot in common. A post to a slot of the landed batch is held, and
// that batch finished before the next is sent. So no decision rests on an append
// that may have failed, and no post waits for a batch that it could have been
// in. What others ask of the loop runs when nothing is decided, in flight or
// unfinished.
//
// Waiting a little for more posts before a batch is sent lost at every load:
// profiles/2026-11-24-post-64.
type committer struct {
	s *Store

	queue  chan *Post
	posts  atomic.Int64 // posts that wait for the journal, parked ones included
	bytes  atomic.Int64 // of their events
	closed atomic.Bool
	// since is when the commit under way began, in nanoseconds since the
	// store was opened, or 0. Posters read it to learn that the disk hangs.
	since atomic.Int64

	inbox inbox // what others ask of the owner
	// touching is how many slots wait to have the times of their pulls written.
	// touch adds before it hands them over; the loop takes them off.
	touching atomic.Int64

	submit chan *batch // to the goroutine that calls the journal
	landed chan *batch // and back

	// All below belongs to the loop.
	next     *batch   // being decided
	done     *batch   // landed and not finished, or nil
	free     []*batch // empty ones
	carry    []*Post  // to be decided before what is queued
	spare    []*Post  // an empty list with another array
	held     []*Post  // to be decided again when done is finished
	creating int64    // slots that batches will make
	touched  []*Slot
	waiting  map[*Slot]*recovery
	catchers []*Slot // whose catch-ups have not begun
	catching int     // catch-ups that have
	pool     []*pendingAppend
}

func newCommitter(s *Store) *committer {
	c := &committer{
		s:       s,
		queue:   make(chan *Post, s.opts.QueuePosts),
		submit:  make(chan *batch, 1),
		landed:  make(chan *batch, 1),
		next:    new(batch),
		waiting: make(map[*Slot]*recovery),
	}
	c.inbox.init()
	return c
}

// run is the loop. It ends when stop is closed and nothing waits any more.
func (c *committer) run(stop <-chan struct{}) {
	defer close(c.submit)
	defer c.inbox.end()
	for {
		c.runInbox()
		c.gather()
		if len(c.held) > 0 {
			c.finish()
			c.gather()
		}
		b := c.send()
		switch {
		case b != nil && c.done == nil: // nothing to do meanwhile
			c.commit(b)
			c.done = b
			continue
		case b != nil:
			c.submit <- b
			c.finish()
			c.done = <-c.landed
			continue
		case c.done != nil:
			c.finish()
			continue
		case len(c.carry) > 0 || len(c.held) > 0:
			c.release() // held for what was refused then
			continue
		}
		select {
		case p := <-c.queue:
			c.carry = append(c.carry, p)
		case <-c.inbox.wake:
		case <-stop:
			c.giveUp()
			if c.posts.Load() == 0 && len(c.queue) == 0 && len(c.waiting) == 0 && c.inbox.empty() {
				return
			}
			time.Sleep(time.Millisecond) // parked posts: their loads report soon
		}
	}
}

// commits calls the journal beside the loop.
func (c *committer) commits() {
	for b := range c.submit {
		c.commit(b)
		c.landed <- b
	}
}

func (c *committer) commit(b *batch) {
	start := c.s.now()
	c.since.Store(max(start, 1))
	c.s.journal.Commit(b.groups) // durable
	c.since.Store(0)
	b.took = time.Duration(c.s.now() - start)
}

// gather decides what waits, as far as one batch goes.
func (c *committer) gather() {
	todo := c.carry
	c.carry = c.spare
	for i, p := range todo {
		if c.next.full() {
			c.carry = append(c.carry, todo[i:]...)
			break
		}
		c.decide(p)
	}
	clear(todo)
	c.spare = todo[:0]
	for !c.next.full() {
		select {
		case p := <-c.queue:
			c.decide(p)
		default:
			return
		}
	}
}

// send completes the batch for the journal and begins another. Nil: there is
// nothing to write.
func (c *committer) send() *batch {
	b := c.next
	c.addTouches()
	if !b.empty() {
		if err := c.s.room(); err != nil {
			c.refuse(err)
		}
	}
	if b.empty() {
		c.reset(b)
		return nil
	}
	b.posts, b.bytes = 0, 0
	for _, a := range b.appends {
		h := a.hot
		b.groups = append(b.groups, Group{
			Op: OpAppend, Slot: a.slot.id, Version: h.version, First: h.count, Events: a.events,
			Count: h.count + uint64(len(a.events)), Bytes: h.appender.bytes + a.bytes, Mark: a.mark,
		})
		b.posts += len(a.events)
		b.bytes += int64(a.bytes)
	}
	if n := len(c.free); n > 0 {
		c.next, c.free = c.free[n-1], c.free[:n-1]
	} else {
		c.next = new(batch)
	}
	return b
}

// decide finds what is to become of one post and enters it into the batch.
func (c *committer) decide(p *Post) {
	if p.state.Load() == postAbandoned {
		return
	}
	slot := p.slot
	if slot.leaving || slot.pending != nil && (p.kind == postRemove || slot.pending.batch != c.next) {
		c.held = append(c.held, p) // what it rests on is not known yet
		return
	}
	c.next.posts++
	c.next.bytes += p.bytes
	switch {
	case p.kind == postCreate:
		if c.s.slotCount.Load()+c.creating >= c.s.maxSlots.Load() {
			c.answer(p, false, ErrTooManySlots)
		} else if c.take(p) {
			c.creating++
			c.act(Group{Op: OpCreate, Slot: slot.id, Token: slot.token}, p)
		}
	case slot.dead.Load():
		c.answer(p, false, ErrNoSlot)
	case c.waiting[slot] != nil:
		c.waiting[slot].park(p)
	case p.kind == postRemove:
		if c.take(p) {
			slot.leaving = true
			c.act(Group{Op: OpRemove, Slot: slot.id, Version: slot.currentVersion()}, p)
		}
	default:
		c.decideEvent(p, slot)
	}
}

func (c *committer) act(g Group, p *Post) {
	c.next.groups = append(c.next.groups, g)
	c.next.acts = append(c.next.acts, p)
}

// decideEvent is the one place where an event is found to be new, to be a
// duplicate, or to be too much (I5).
func (c *committer) decideEvent(p *Post, slot *Slot) {
	h := slot.hot.Load()
	for h == nil {
		if slot.count.Load() > 0 {
			c.parkForLoad(p, slot)
			return
		}
		if h = c.s.firstHeat(slot); h == nil {
			h = slot.hot.Load() // a load was faster
		}
	}
	slot.use(c.s.budget.epoch.Load())
	a := slot.pending
	key := uint64(0)
	if p.event.IDOff != 0 {
		key = idPresent | uint64(p.hash)
		var room [event.MaxIDBytes]byte
		id, _ := p.event.ID(room[:0])
		if a != nil && a.holds(key, id) {
			if c.take(p) {
				a.dups = append(a.dups, p)
			}
			return
		}
		if known, absent := c.stored(p, h, id); absent >= 0 {
			c.parkForChunk(p, slot, h, absent)
			return
		} else if known {
			c.answer(p, true, nil)
			return
		}
	}
	used := h.appender.bytes
	if a != nil {
		used += a.bytes
	}
	if used+uint64(len(p.event.JSON)) > MaxSlotBytes {
		c.answer(p, false, ErrSlotFull)
		return
	}
	if !c.take(p) {
		return
	}
	if a == nil {
		a = c.newAppend(slot, h)
	}
	a.events = append(a.events, p.event)
	a.ids = append(a.ids, key)
	a.posts = append(a.posts, p)
	a.bytes += uint64(len(p.event.JSON))
}

// stored says whether the slot holds the id. absent >= 0 names a chunk that
// must be loaded before that can be said.
func (c *committer) stored(p *Post, h *hot, id []byte) (known bool, absent int) {
	var room [4]uint64
	for _, pos := range h.index.Find(p.hash, room[:0]) {
		snap := h.snap.Load()
		i := snap.find(pos)
		ch := snap.chunks[i]
		g := ch.resident()
		if g == nil {
			if p.pinnedC != ch {
				return false, i
			}
			g = p.pinned
		}
		if g.event(int(pos - ch.first)).HasID(id) {
			return true, -1
		}
	}
	return false, -1
}

func (c *committer) addTouches() {
	n := min(len(c.touched), batchPosts)
	for _, slot := range c.touched[:n] {
		if !slot.dead.Load() && !slot.leaving {
			c.act(Group{Op: OpTouch, Slot: slot.id, PulledAt: slot.pulledAt.Load()}, nil)
		}
	}
	c.touched = append(c.touched[:0], c.touched[n:]...)
	if n > 0 {
		c.touching.Add(-int64(n))
	}
}

// take makes the loop the one that answers p. False: its poster has gone.
func (c *committer) take(p *Post) bool {
	if !p.state.CompareAndSwap(postQueued, postTaken) {
		return p.state.Load() == postTaken
	}
	c.dequeued(p)
	return true
}

// answer wakes the poster, unless it has gone.
func (c *committer) answer(p *Post, duplicate bool, err error) {
	if c.take(p) {
		p.duplicate, p.err = duplicate, err
		switch {
		case p.kind != postEvent || err != nil:
		case duplicate:
			c.s.stats.PostsDuplicate.Add(1)
		default:
			c.s.stats.PostsStored.Add(1)
		}
		p.done <- struct{}{}
	}
}

// refuse answers what the journal must not see while the disk is nearly full,
// and takes it out of the batch. Removals pass: they make room.
func (c *committer) refuse(err error) {
	b, kept := c.next, 0
	for i, p := range b.acts {
		switch {
		case b.groups[i].Op == OpRemove:
			b.groups[kept], b.acts[kept] = b.groups[i], p
			kept++
		case p != nil:
			c.creating--
			c.answer(p, false, err)
		}
	}
	b.groups, b.acts = b.groups[:kept], b.acts[:kept]
	for _, a := range b.appends {
		c.s.stats.PostsNoSpace.Add(uint64(len(a.posts)))
		a.answerAll(c, err)
		c.recycle(a)
	}
	b.appends = b.appends[:0]
}

// finish brings what the journal said of the landed batch to everybody.
func (c *committer) finish() {
	b := c.done
	if b == nil {
		return
	}
	if c.s.opts.Committed != nil {
		c.s.opts.Committed(b.posts, int(b.bytes), b.took)
	}
	for i, p := range b.acts {
		c.finishAct(&b.groups[i], p)
	}
	for i, a := range b.appends {
		c.finishAppend(&b.groups[len(b.acts)+i], a)
	}
	c.reset(b)
	c.done, c.free = nil, append(c.free, b)
	c.release()
}

// release has what was held decided before everything that came later.
func (c *committer) release() {
	if len(c.held) > 0 {
		c.carry = append(c.held, c.carry...)
		c.held = nil
	}
}

func (c *committer) finishAppend(g *Group, a *pendingAppend) {
	switch g.Outcome {
	case Stored:
		c.apply(a.slot, a.hot, a.events, a.ids, g.NewVersion)
		a.answerAll(c, nil)
	case Refused:
		a.answerAll(c, refusal(g.Err))
	case Conflict:
		c.recover(a, false)
	default:
		c.recover(a, true)
	}
}

// apply brings stored events to the readers: indexed, visible, woken.
func (c *committer) apply(slot *Slot, h *hot, events []event.Event, ids []uint64, version uint64) {
	var index, chunks int64
	first, b := h.count, c.s.budget
	for i, ev := range events {
		if ids[i] != 0 {
			index += h.index.Insert(uint32(ids[i]), h.count)
		}
		chunks += h.add(ev)
	}
	b.add(memIndex, index)
	b.add(memChunk, chunks)
	if slot.subs.Load() != nil {
		b.add(memFrame, h.appendFrames(first, events, &c.s.stats))
	}
	// The last stream empties the set first and drops the frames second; we
	// store the frames first and look at the set second.
	if slot.subs.Load() == nil {
		b.dropFrames(h)
	}
	h.version = version
	h.publish() // visible
	c.tally(slot, h.count, h.appender.bytes)
	// A subscriber joins the set first and loads the snapshot second; we
	// publish first and load the set second. So one of us sees the other (I6).
	slot.wakeSubscribers(c.s.now)
}

// tally notes how much a slot holds, so that it has counts while it is cold.
func (c *committer) tally(slot *Slot, count, bytes uint64) {
	c.s.stats.Events.Add(int64(count - slot.count.Load()))
	c.s.stats.Bytes.Add(int64(bytes - slot.bytes.Load()))
	slot.count.Store(count)
	slot.bytes.Store(bytes)
}

// answerAll answers the posts of an append and the duplicates that waited for
// them.
func (a *pendingAppend) answerAll(c *committer, err error) {
	for _, p := range a.posts {
		c.answer(p, false, err)
	}
	for _, p := range a.dups {
		c.answer(p, err == nil, err)
	}
}

func (c *committer) finishAct(g *Group, p *Post) {
	if p == nil { // a touch
		return
	}
	p.slot.leaving = false
	if g.Op == OpCreate {
		c.creating--
	}
	switch g.Outcome {
	case Stored:
		if g.Op == OpCreate {
			p.slot.version = g.NewVersion
			c.s.slots.Store(p.slot.id, p.slot)
			c.s.slotCount.Add(1)
		} else {
			c.bury(p.slot)
		}
		c.answer(p, false, nil)
	case Refused:
		c.answer(p, false, refusal(g.Err))
	case Conflict:
		if g.Op == OpRemove {
			c.recoverAct(p)
		} else {
			c.answer(p, false, ErrConflict)
		}
	default:
		c.answer(p, false, ErrUnknown)
	}
}

// bury makes a removed slot unreachable. Of pages under way, what was not
// written yet is gone with it.
func (c *committer) bury(slot *Slot) {
	slot.dead.Store(true)
	c.s.markBlocked(slot, false)
	c.s.slots.Delete(slot.id)
	c.s.slotCount.Add(-1)
	c.s.stats.Events.Add(-int64(slot.count.Load()))
	c.s.stats.Bytes.Add(-int64(slot.bytes.Load()))
	c.s.cool(slot)
	slot.wakeSubscribers(c.s.now)
}
