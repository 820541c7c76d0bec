package cow

import (
	"math/rand/v2"
	"slices"
	"time"

	"cowrelay/cow/event"
)

// A batch is full when so many posts were decided for it, or so many bytes of
// events. Posts of many events count apart: a batch has room for as much of them as
// one of them may be. So they hold no commit up for long.
//
// All of it may be one group. That has at most batchBytes and one event, and 524,288
// bytes of posts of many events: less than a journal takes, which is 8 MiB.
const (
	batchPosts = 1024
	batchBytes = 4 << 20
)

// batch is what the journal stores at once. Batches are used again:
//
//	     newAppend, act        seal        commitBatch        empty
//	empty ------------> filling ----> sealed ----------> landed ----> empty
//
//	filling   the loop adds acts with their groups, and appends
//	sealed    behind the groups of the acts stands one group for each append;
//	          the journal sets their outcomes, and nobody else touches them
//	landed    the loop reads the outcomes
type batch struct {
	groups  []Group
	acts    []*Post // parallel to the first groups: the post of a create or remove, nil for a touch
	appends []*pendingAppend
	// posts and bytes of a filling batch say how full it is. They count all posts
	// that were decided for it, duplicates too, but for those of many events, which
	// manyEvents and manyBytes count. Of a sealed batch posts and bytes count all
	// the events that it appends.
	posts      int
	bytes      int64
	manyEvents int
	manyBytes  int64
	took       time.Duration // what the journal took for it
}

func (b *batch) empty() bool { return len(b.groups) == 0 && len(b.appends) == 0 }
func (b *batch) full() bool  { return b.posts >= batchPosts || b.bytes >= batchBytes }

// count counts a post that is decided.
func (b *batch) count(p *Post) {
	if p.kind == postMany {
		b.manyEvents += len(p.many.events)
		b.manyBytes += p.bytes
		return
	}
	b.posts++
	b.bytes += p.bytes
}

// roomFor says whether the batch has room for a post of many events. One finds room
// in any case.
func (b *batch) roomFor(p *Post) bool {
	return b.manyEvents == 0 ||
		b.manyEvents+len(p.many.events) <= event.MaxLines && b.manyBytes+p.bytes <= event.MaxLinesBytes
}

// act adds a group that is not an append. p is nil for a touch.
func (b *batch) act(g Group, p *Post) {
	b.groups = append(b.groups, g)
	b.acts = append(b.acts, p)
}

// seal makes a group of each append. Nothing is added afterwards.
func (b *batch) seal() {
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
}

// pendingAppend is what a batch appends to one slot. Slot.pending points to it
// until the batch is empty again.
type pendingAppend struct {
	batch  *batch
	slot   *Slot
	hot    *hot // the slot's: a slot with a pending append does not go cold
	events []event.Event
	keys   []uint64 // parallel to events: idKey of each id, or 0
	posts  []*Post  // of the events, in their order
	dups   []*Post  // posts whose ids are all among the events or in the slot: answered with those
	bytes  uint64   // of the events
	mark   uint64   // random and not 0: tells this append from those of other writers
}

// idKey is the hash of an id with a bit that tells it from "no id", which is 0.
func idKey(hash uint32) uint64 { return 1<<32 | uint64(hash) }

// holds says whether the append has an event with this id already.
func (a *pendingAppend) holds(key uint64, id []byte) bool {
	for i := 0; ; i++ {
		j := slices.Index(a.keys[i:], key)
		if j < 0 {
			return false
		}
		if i += j; a.events[i].HasID(id) {
			return true
		}
	}
}

// add puts the event of a post behind the others.
func (a *pendingAppend) add(p *Post, key uint64) {
	a.events = append(a.events, p.event)
	a.keys = append(a.keys, key)
	a.posts = append(a.posts, p)
	a.bytes += uint64(len(p.event.JSON))
	p.end = len(a.events)
}

// addMany puts the events of a post that are new behind the others.
func (a *pendingAppend) addMany(p *Post) {
	m := p.many
	a.events = slices.Grow(a.events, m.fresh)
	a.keys = slices.Grow(a.keys, m.fresh)
	for i, ev := range m.events {
		if m.at[i] == nowhere {
			a.events = append(a.events, ev)
			a.keys = append(a.keys, m.keys[i])
			a.bytes += uint64(len(ev.JSON))
		}
	}
	a.posts = append(a.posts, p)
	p.end = len(a.events)
}

// batchPool keeps empty batches and appends for the next ones, so that a commit
// allocates neither. It belongs to the loop.
type batchPool struct {
	batches []*batch
	appends []*pendingAppend
}

// keptEvents is how many events an append that is kept may have room for. One
// long append must not stay in memory for many short ones.
const keptEvents = 128

// batch returns an empty batch.
func (pool *batchPool) batch() *batch {
	n := len(pool.batches)
	if n == 0 {
		return new(batch)
	}
	b := pool.batches[n-1]
	pool.batches = pool.batches[:n-1]
	return b
}

// newAppend begins an append to a slot in a batch.
func (pool *batchPool) newAppend(b *batch, slot *Slot, h *hot) *pendingAppend {
	var a *pendingAppend
	if n := len(pool.appends); n > 0 {
		a, pool.appends = pool.appends[n-1], pool.appends[:n-1]
	} else {
		a = new(pendingAppend)
	}
	a.batch, a.slot, a.hot, a.mark = b, slot, h, rand.Uint64()|1
	slot.pending = a
	b.appends = append(b.appends, a)
	return a
}

// putBack keeps a finished batch for later.
func (pool *batchPool) putBack(b *batch) {
	pool.empty(b)
	pool.batches = append(pool.batches, b)
}

// empty lets go of everything that a batch holds, so that it can be filled
// again.
func (pool *batchPool) empty(b *batch) {
	pool.dropAppends(b)
	clear(b.groups)
	clear(b.acts)
	*b = batch{groups: b.groups[:0], acts: b.acts[:0], appends: b.appends}
}

// dropAppends takes the appends out of a batch.
func (pool *batchPool) dropAppends(b *batch) {
	for _, a := range b.appends {
		a.slot.pending = nil
		clear(a.events)
		clear(a.posts)
		clear(a.dups)
		*a = pendingAppend{events: a.events[:0], keys: a.keys[:0], posts: a.posts[:0], dups: a.dups[:0]}
		if cap(a.events) <= keptEvents && len(pool.appends) < batchPosts {
			pool.appends = append(pool.appends, a)
		}
	}
	clear(b.appends)
	b.appends = b.appends[:0]
}
