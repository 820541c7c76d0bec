package cow

import (
	"errors"
	"slices"
)

// Posts that the loop has taken out of the queue and can't decide yet. There are
// four lists of them. The posts of one slot stay in their order, but that those of
// many events and the others may overtake each other.
//
//	held     The post rests on a batch that is not finished. When it is, the post
//	         goes to todo.
//	parked   The post needs a slot or a chunk that is not in memory, or the head of
//	         its slot is not known. When that has ended, the post goes to todo.
//	todo     The post can be decided, before all that is queued.
//	many     The post has many events and can be decided, when a batch has room.
//
// The poster of a post that is held or parked may give up meanwhile.

// backlog is the posts that are not parked. Only the loop touches it.
type backlog struct {
	todo []*Post
	held []*Post
	many []*Post
}

// first puts posts before all others in todo.
func (b *backlog) first(posts []*Post) { b.todo = slices.Insert(b.todo, 0, posts...) }

// drop takes the first n posts out of todo: they were decided.
func (b *backlog) drop(n int) { b.todo = slices.Delete(b.todo, 0, n) }

// release lets the held posts in: the batch that they rest on is finished.
func (b *backlog) release() {
	if len(b.held) > 0 {
		b.first(b.held)
		clear(b.held)
		b.held = b.held[:0]
	}
}

func (b *backlog) empty() bool { return len(b.todo)+len(b.held)+len(b.many) == 0 }

// parking keeps the posts to slots about which nothing can be decided now. It
// belongs to the loop.
type parking struct {
	env     *commitEnv
	queue   *postQueue
	inbox   *inbox
	backlog *backlog
	slots   map[*Slot]*parked
}

// parked is the posts of one such slot. Two things may hold the slot: a load, of
// the slot or of one of its chunks, and other writers, who may have moved its head
// (commit_others.go). Its posts are let in when nothing holds it any more.
//
//	          addForSlot, addForChunk           loaded
//	        .------------------------> loading --------.
//	free ---+                          and/or          +---> free
//	        '------------------------> others ---------'
//	          othersBegin                       othersEnd
type parked struct {
	posts   []*Post // in their order
	sweepAt int     // posts of posters that gave up are dropped when there are so many
	loading bool
	others  bool
	err     error // of others, when they have ended and the load has not
}

// sweepFirst is the first sweepAt.
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

// add keeps a post behind the others of its slot. A poster that gave up has taken
// its post out of the bounds of the queue, so such posts are dropped now and then:
// they are never much more than half of what is kept.
func (k *parking) add(p *Post) *parked {
	w := k.at(p.slot)
	if len(w.posts) >= w.sweepAt {
		w.posts = slices.DeleteFunc(w.posts, func(p *Post) bool { return p.givenUp() })
		w.sweepAt = max(2*len(w.posts), sweepFirst)
	}
	w.posts = append(w.posts, p)
	return w
}

// addForSlot keeps a post until its slot is loaded.
func (k *parking) addForSlot(p *Post) {
	slot := p.slot
	k.add(p).loading = true
	k.env.loadSlot(slot, func(err error) { k.inbox.noteLoad(loadNote{slot: slot, err: err}) })
}

// addForChunk keeps a post until a chunk is loaded: an event in it may have the
// same id.
func (k *parking) addForChunk(p *Post, ch *chunk) {
	slot := p.slot
	k.add(p).loading = true
	k.env.loadChunk(slot, ch, func(g *segment, err error) {
		k.inbox.noteLoad(loadNote{slot: slot, chunk: ch, segment: g, err: err})
	})
}

// loaded ends a load. The posts are let in. If the load failed they get its error
// instead: they were never handed to the journal. If others still hold the slot,
// the posts stay until those have ended, and the error is forgotten: a post that
// still misses its chunk then waits for another load.
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

// othersBegin has the slot's posts wait until othersEnd.
func (k *parking) othersBegin(slot *Slot) { k.at(slot).others = true }

// addFirst keeps posts before the others of a slot that is held.
func (k *parking) addFirst(slot *Slot, posts ...*Post) {
	w := k.slots[slot]
	w.posts = slices.Insert(w.posts, 0, posts...)
}

// othersEnd says that the head of the slot is known, or that it could not be read
// (err).
func (k *parking) othersEnd(slot *Slot, err error) {
	w := k.slots[slot]
	w.others = false
	if w.loading {
		w.err = err
		return
	}
	k.end(slot, w, err)
}

// end lets the posts in, or answers them with err. Posts to a dead slot are always
// let in: decide tells them that the slot is gone.
func (k *parking) end(slot *Slot, w *parked, err error) {
	delete(k.slots, slot)
	if err != nil && !slot.dead.Load() {
		k.queue.answerAll(w.posts, false, err)
		return
	}
	k.backlog.first(w.posts)
}
