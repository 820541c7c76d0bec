package cow

import (
	"math/rand/v2"
	"slices"
	"time"

	"cowrelay/cow/event"
)

// batch is what goes to the journal at once.
type batch struct {
	groups  []Group
	acts    []*Post // parallel to groups: the post of a create or remove, else nil
	appends []*pendingAppend
	posts   int // decided since the batch was begun, whatever became of them
	bytes   int64
	took    time.Duration
}

func (b *batch) empty() bool { return len(b.groups) == 0 && len(b.appends) == 0 }
func (b *batch) full() bool  { return b.posts >= batchPosts || b.bytes >= batchBytes }

// pendingAppend is a slot's part of the batch.
type pendingAppend struct {
	batch  *batch
	slot   *Slot
	hot    *hot
	events []event.Event
	ids    []uint64 // parallel: idPresent|hash, or 0
	posts  []*Post  // parallel
	dups   []*Post  // their ids are among ids: answered with them
	bytes  uint64
	mark   uint64
}

const idPresent = 1 << 32

// holds says whether the batch has an event with this id for the slot already.
func (a *pendingAppend) holds(key uint64, id []byte) bool {
	for i := 0; ; i++ {
		j := slices.Index(a.ids[i:], key)
		if j < 0 {
			return false
		}
		if i += j; a.events[i].HasID(id) {
			return true
		}
	}
}

func (c *committer) newAppend(slot *Slot, h *hot) *pendingAppend {
	var a *pendingAppend
	if n := len(c.pool); n > 0 {
		a, c.pool = c.pool[n-1], c.pool[:n-1]
	} else {
		a = new(pendingAppend)
	}
	a.batch, a.slot, a.hot, a.mark = c.next, slot, h, rand.Uint64()|1
	slot.pending = a
	c.next.appends = append(c.next.appends, a)
	return a
}

// reset empties a batch and lets go of everything that it held.
func (c *committer) reset(b *batch) {
	for _, a := range b.appends {
		c.recycle(a)
	}
	clear(b.groups)
	clear(b.acts)
	clear(b.appends)
	*b = batch{groups: b.groups[:0], acts: b.acts[:0], appends: b.appends[:0]}
}

func (c *committer) recycle(a *pendingAppend) {
	a.slot.pending = nil
	clear(a.events)
	clear(a.posts)
	clear(a.dups)
	*a = pendingAppend{events: a.events[:0], ids: a.ids[:0], posts: a.posts[:0], dups: a.dups[:0]}
	if cap(a.events) <= 128 && len(c.pool) < batchPosts {
		c.pool = append(c.pool, a)
	}
}
