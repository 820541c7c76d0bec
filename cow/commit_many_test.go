package cow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// many queues a post of events with these ids; an empty one is none.
func (w *world) many(slot *Slot, ids ...string) *Post {
	var body strings.Builder
	for _, id := range ids {
		if id == "" {
			body.WriteString("{}\n")
		} else {
			fmt.Fprintf(&body, "{\"event_id\":%q}\n", id)
		}
	}
	return w.manyOf(slot, body.String())
}

func (w *world) manyOf(slot *Slot, body string) *Post {
	p := &Post{queue: w.c.queue, seed: w.c.env.seed, done: make(chan struct{}, 1), slot: slot, kind: postMany}
	if err := p.AcceptLines([]byte(body)); err != nil {
		w.t.Fatal(err)
	}
	p.bytes = p.many.bytes()
	return w.put(p)
}

// told checks what the poster of many events was told.
func (w *world) told(p *Post, stored, duplicates int, next uint64) {
	w.t.Helper()
	if got := answered(p); got != "stored" && got != "duplicate" {
		w.t.Errorf("a post of %d events: %s", p.Lines(), got)
	} else if p.many.fresh != stored || p.many.duplicates() != duplicates || p.next != next || (got == "duplicate") != (stored == 0) {
		w.t.Errorf("a post of %d events: %s, %d stored, %d duplicates, next %d; want %d, %d, %d", p.Lines(), got, p.many.fresh, p.many.duplicates(), p.next, stored, duplicates, next)
	}
}

// What is new is stored in its order in one group, and duplicates are counted: of the
// slot, and of earlier lines.
func TestMany_I5_Duplicates(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a", "b")
	p := w.many(slot, "c", "b", "", "d", "c", "", "a")
	w.run()
	w.told(p, 4, 3, 6)
	w.wrote([]string{"append 2: c  d "})
	w.holds(slot, "a", "b", "c", "", "d", "")
	none := w.many(slot, "d", "d", "a")
	w.run()
	w.told(none, 0, 3, 6)
	w.wrote()
	if s, d := w.stats.PostsStored.Load(), w.stats.PostsDuplicate.Load(); s != 2+4 || d != 6 {
		t.Errorf("%d events and %d duplicates are counted", s, d)
	}
	w.nothingWaits()
}

// I4, I5: ids that the same batch appends are duplicates, and their posts are answered
// with that append. next is behind the post's own last event.
func TestMany_I5_DuplicatesInOneBatch(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf()
	single := w.post(slot, "b")
	first := w.many(slot, "a", "b")
	second := w.many(slot, "b", "c", "a")
	none := w.many(slot, "a", "b")
	var early []string
	w.onWrite = func() {
		for _, p := range []*Post{single, first, second, none} {
			early = append(early, answered(p))
		}
	}
	w.run()
	if slices.ContainsFunc(early, func(s string) bool { return s != "waits" }) {
		t.Errorf("answers before the journal's: %q", early)
	}
	w.wrote([]string{"append 0: b a c"})
	w.is("stored", single)
	w.told(first, 1, 1, 2)
	w.told(second, 1, 2, 3)
	w.told(none, 0, 2, 3)
	w.nothingWaits()
}

// A post to a slot whose append is with the journal waits for that as a whole, also for
// a single duplicate in it. If that append fails, the event is stored by this post.
func TestMany_I5_DuplicateOfWhatIsBeingCommitted(t *testing.T) {
	for outcome, ids := range map[Outcome]string{Stored: "append 1: b", Refused: "append 0: a b"} {
		w := newWorld(t)
		slot, other := w.slotOf(), w.slotOf()
		var p, rest *Post
		w.outcome = func(*Group) Outcome { return outcome }
		w.onWrite = func() {
			w.outcome, w.onWrite = nil, nil
			p = w.many(slot, "a", "b")
			rest = w.many(other, "x")
		}
		first := w.post(slot, "a")
		w.run()
		w.wrote([]string{"append 0: a"}, []string{"append 0: x", ids})
		w.told(rest, 1, 0, 1)
		if outcome == Stored {
			w.is("stored", first)
			w.told(p, 1, 1, 2)
		} else {
			w.is(ErrBusy.Error(), first)
			w.told(p, 2, 0, 2)
		}
		w.nothingWaits()
	}
}

// The quota takes all of a post or nothing. What the slot has is not counted again.
func TestMany_I5_Quota(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	one := uint64(len(eventOf("b").JSON))
	slot.hot.Load().appender.bytes = MaxSlotBytes - 3*one
	fits := w.many(slot, "a", "b")
	over := w.many(slot, "c", "d", "e")
	single := w.post(slot, "f")
	both := w.many(slot, "f", "b", "g")
	w.run()
	w.is(ErrSlotFull.Error(), over)
	w.told(fits, 1, 1, 3) // behind the single post
	w.is("stored", single)
	w.told(both, 1, 2, 4)
	w.holds(slot, "a", "f", "b", "g")
	w.nothingWaits()
}

// All or nothing where the journal refuses, is full, or has no such slot any more.
func TestMany_Refused(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a")
	w.outcome = func(*Group) Outcome { return Refused }
	refused := []*Post{w.many(slot, "b", "c"), w.many(slot, "c")}
	w.run()
	w.is(ErrBusy.Error(), refused...)
	w.outcome, w.full = nil, ErrNoSpace
	full := w.many(slot, "a", "b")
	known := w.many(slot, "a")
	w.run()
	w.is(ErrNoSpace.Error(), full)
	w.told(known, 0, 1, 1)
	w.full = nil
	removal := w.act(postRemove, slot)
	gone := w.many(slot, "b")
	w.run()
	w.is("stored", removal)
	w.is(ErrNoSlot.Error(), gone)
	w.nothingWaits()
}

// I3: where the journal can't say, the post is answered by what is found: with the
// position where it stands, or it is decided again.
func TestMany_I3_Doubt(t *testing.T) {
	for _, found := range []bool{true, false} {
		w := newWorld(t)
		slot := w.slotOf("a")
		var mark uint64
		w.outcome = func(g *Group) Outcome { mark = g.Mark; return Unknown }
		p := w.many(slot, "a", "b", "c")
		none := w.many(slot, "c")
		w.run()
		w.is("waits", p, none)
		w.outcome, w.written = nil, nil
		if found {
			w.land("behind 1", []foreign{behind(slot, 1, 0, "x"), behind(slot, 2, mark, "b", "c")}, nil, nil)
			w.told(p, 2, 1, 4)
			w.told(none, 0, 1, 4)
			w.wrote()
			w.holds(slot, "a", "x", "b", "c")
		} else { // and another writer has stored one of its events
			w.land("behind 1", []foreign{behind(slot, 1, mark+2, "c")}, nil, nil)
			w.told(p, 1, 2, 3)
			w.told(none, 0, 1, 2)
			w.wrote([]string{"append 2: b"})
			w.holds(slot, "a", "c", "b")
		}
		w.nothingWaits()
	}
}

// A post to a cold slot waits for its load. A poster that gives up meanwhile stores
// nothing.
func TestMany_Parked(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf("a", "b")
	w.cool(slot)
	p := w.many(slot, "b", "c")
	left := w.many(slot, "d", "e")
	w.run()
	w.is("waits", p)
	if !left.state.CompareAndSwap(postQueued, postAbandoned) {
		t.Fatal("the poster can't give up")
	}
	w.c.queue.leave(left)
	w.heat(slot, "a", "b")
	w.land("slot", nil, nil, nil)
	w.told(p, 1, 1, 3)
	w.holds(slot, "a", "b", "c")
	w.nothingWaits()
}

// lines is a body of n events without ids, of size bytes each.
func lines(n, size int) string {
	return strings.Repeat(`{"p":"`+strings.Repeat("q", size-8)+"\"}\n", n)
}

// Single posts that came behind many posts of many events go first, and each batch has
// no more of these than one of them may be. Beside single posts every second batch has
// none at all, and behind them none is lost.
func TestMany_SinglePostsDoNotWait(t *testing.T) {
	w := newWorld(t)
	slot, other := w.slotOf(), w.slotOf()
	var floods []*Post
	for i := range 12 {
		floods = append(floods, w.manyOf(slot, lines([]int{1000, 300, 400}[i%3], 20)))
	}
	n := 0
	var singles []*Post
	var sizes []string
	w.outcome = func(g *Group) Outcome {
		if g.Slot == other.id {
			sizes = append(sizes, "single")
		} else {
			sizes = append(sizes, fmt.Sprint(len(g.Events)))
		}
		return Stored
	}
	w.onWrite = func() {
		if n++; n < 6 {
			singles = append(singles, w.post(other, ""))
		}
	}
	singles = append(singles, w.post(other, ""))
	w.run()
	w.is("stored", singles...)
	for _, p := range floods {
		w.is("stored", p)
	}
	want := "1000 single|single|700 single|single|1000 single|single|700|1000|700|1000|700"
	var got []string
	for _, batch := range w.written {
		k := len(batch)
		if k == 2 && sizes[0] == "single" { // groups stand in the order of their first posts
			sizes[0], sizes[1] = sizes[1], sizes[0]
		}
		got = append(got, strings.Join(sizes[:k], " "))
		sizes = sizes[k:]
	}
	if text := strings.Join(got, "|"); text != want {
		t.Errorf("the batches are %s, want %s", text, want)
	}
	w.nothingWaits()
}

// Posts of many events are bounded by bytes in a batch, too.
func TestMany_BatchIsBoundedInBytes(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf()
	for range 5 {
		w.manyOf(slot, lines(3, 100_000))
	}
	w.run()
	for _, batch := range w.written {
		if n := len(strings.Fields(batch[0])); n > 2 { // ids are empty
			t.Errorf("a batch is %q", batch)
		}
	}
	if n := len(w.written); n != 5 {
		t.Errorf("%d batches, want one for each: two would be 600,000 bytes", n)
	}
	w.nothingWaits()
}

// The queue counts a post of many with its events and bytes, bounds both, and keeps
// room for single posts.
func TestMany_QueueIsBounded(t *testing.T) {
	w := newWorld(t)
	slot := w.slotOf()
	q := w.c.queue
	q.limits.posts, q.limits.bytes = 10, 10_000
	try := func(body string) error {
		p := &Post{queue: q, seed: w.c.env.seed, done: make(chan struct{}, 1), slot: slot, kind: postMany}
		if err := p.AcceptLines([]byte(body)); err != nil {
			t.Fatal(err)
		}
		p.bytes = p.many.bytes()
		return q.put(p)
	}
	if err := try(lines(50, 20)); err != nil {
		t.Fatalf("one that is alone: %v", err)
	}
	if posts, bytes := q.waiting(); posts != 0 || bytes != 1000 || q.manyEvents.Load() != 50 {
		t.Errorf("%d posts and %d events of posts of many wait, of %d bytes", posts, q.manyEvents.Load(), bytes)
	}
	if err := try(lines(1, 20)); err != ErrBusy {
		t.Errorf("more events than may wait: %v", err)
	}
	w.post(slot, "")
	w.run()
	if err := try(lines(10, 400)); err != nil {
		t.Fatal(err)
	}
	if err := try(lines(2, 600)); err != ErrBusy {
		t.Errorf("more than half of the bytes: %v", err)
	}
	for range 10 {
		w.post(slot, "")
	}
	if n := w.stats.PostsRejected.Load(); n != 2 {
		t.Errorf("%d rejected posts are counted", n)
	}
	w.run()
	w.nothingWaits()
}
