package cow

import (
	"errors"
	"slices"
)

// Posts that the loop has taken out of the queue and can't decide yet. They are
// in one of three places, and leave it in the order in which they came.
//
//	         rests on a batch that is not finished       that is finished
//	queue --+---------------------------------> held -----------------------.
//	        | needs a slot or a chunk that is not in memory,                |
//	        | or the slot's head is not known       all of that has ended   v
//	        +---------------------------------> parked ------------------> todo
//	        | the batch is full                                             ^
//	        '---------------------------------------------------------------'
//
// Of a post that is held or parked, its poster may give up meanwhile.

// backlog is the posts that are not parked. Only the loop touches it.
type backlog struct {
	todo []*Post // decided before what is queued
	held []*Post // until the landed batch is finished
}

// first has posts decided before all others.
func (b *backlog) first(posts []*Post) { b.todo = slices.Insert(b.todo, 0, posts...) }

// drop drops the first n of todo: they were decided.
func (b *backlog) drop(n int) { b.todo = slices.Delete(b.todo, 0, n) }

// release has what was held decided before all others: the landed batch is
// finished.
func (b *backlog) release() {
	if len(b.held) > 0 {
		b.first(b.held)
		clear(b.held)
		b.held = b.held[:0]
	}
}

func (b *backlog) empty() bool { return len(b.todo) == 0 && len(b.held) == 0 }

// parking keeps the posts to slots about which nothing can be decided now: the
// slot, or a chunk, is being loaded, or others have a hand in it (see
// commit_others.go). It belongs to the loop.
type parking struct {
	env     *commitEnv
	queue   *postQueue
	inbox   *inbox
	backlog *backlog
	slots   map[*Slot]*parked
}

// parked is one such slot. It ends when neither a load nor others hold it.
type parked struct {
	posts   []*Post // in their order
	sweepAt int     // with so many, those whose posters gave up are dropped
	loading bool    // a load of the slot, or of one of its chunks
	others  bool    // its head is not known
	err     error   // with which others ended, while a load goes on
}

const sweepFirst = 64

func (k *parking) empty() bool { return len(k.slots) == 0 }

// holds says whether nothing can be decided about the slot now.
func (k *parking) holds(slot *Slot) bool { return k.slots[slot] != nil }

func (k *parking) at(slot *Slot) *parked {
	w := k.slots[slot]
	if w == nil {
		w = &parked{sweepAt: sweepFirst}
		k.slots[slot] = w
	}
	return w
}

// add keeps a post behind the others of its slot. Posts whose posters gave up
// are in no bound of the queue any more; they are at most half of what is kept.
func (k *parking) add(p *Post) *parked {
	w := k.at(p.slot)
	if len(w.posts) >= w.sweepAt {
		w.posts = slices.DeleteFunc(w.posts, func(p *Post) bool { return p.state.Load() == postAbandoned })
		w.sweepAt = max(2*len(w.posts), sweepFirst)
	}
	w.posts = append(w.posts, p)
	return w
}

// addForSlot keeps a post until its slot is hot.
func (k *parking) addForSlot(p *Post) {
	slot := p.slot
	k.add(p).loading = true
	k.env.loadSlot(slot, func(err error) { k.inbox.noteLoad(loadNote{slot: slot, err: err}) })
}

// addForChunk keeps a post until the chunk is there with which its id must be
// compared.
func (k *parking) addForChunk(p *Post, ch *chunk) {
	slot := p.slot
	k.add(p).loading = true
	k.env.loadChunk(slot, ch, func(g *segment, err error) {
		k.inbox.noteLoad(loadNote{slot: slot, chunk: ch, segment: g, err: err})
	})
}

// loaded ends a load. If it failed, the posts that waited for it alone are
// answered: they were never handed to the journal. Where others still hold the
// slot they decide, and a post that finds its chunk missing then waits for
// another load.
func (k *parking) loaded(n *loadNote) {
	slot, w := n.slot, k.slots[n.slot]
	w.loading = false
	if n.chunk != nil && n.err == nil {
		for _, p := range w.posts {
			p.pinned, p.pinnedC = n.segment, n.chunk
		}
	}
	if errors.Is(n.err, ErrNoSlot) && !slot.dead.Load() {
		k.env.bury(slot) // another writer removed it, and its feed has not said so yet
	}
	switch {
	case w.others:
	case w.err != nil:
		k.end(slot, w, w.err)
	default:
		k.end(slot, w, n.err)
	}
}

// othersBegin has the slot's posts wait until othersEnd, posts first of all.
func (k *parking) othersBegin(slot *Slot) { k.at(slot).others = true }

// addFirst keeps posts before the others of the slot, which must be held.
func (k *parking) addFirst(slot *Slot, posts ...*Post) {
	w := k.slots[slot]
	w.posts = slices.Insert(w.posts, 0, posts...)
}

// othersEnd says that the slot's head is known, or with err that it can't be.
func (k *parking) othersEnd(slot *Slot, err error) {
	w := k.slots[slot]
	w.others = false
	if w.loading {
		w.err = err
		return
	}
	k.end(slot, w, err)
}

// end lets the posts in again, or answers them. Posts of a dead slot are let in:
// they will find that it is gone.
func (k *parking) end(slot *Slot, w *parked, err error) {
	delete(k.slots, slot)
	if err != nil && !slot.dead.Load() {
		k.queue.answerAll(w.posts, false, err)
		return
	}
	k.backlog.first(w.posts)
}
