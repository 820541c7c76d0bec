package cow

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cow/event"
)

// world is a commit pipeline without a store and a journal. Nothing happens in it
// before the test calls run or land.
type world struct {
	t     *testing.T
	c     *commitPipeline
	stats Stats
	slots map[ID]*Slot
	most  int64 // slots that may exist
	full  error // what room says

	// written are the batches that the journal got, each a line for each group.
	written [][]string
	// outcome, if set, is asked about each group instead of "stored".
	outcome func(*Group) Outcome
	// onWrite, if set, is called when the journal has stored a batch, before it
	// returns.
	onWrite func()
	loads   []*fakeLoad // that have not landed
	version uint64
}

// fakeLoad is a read of the journal that the loop has begun.
type fakeLoad struct {
	what string // "slot", "chunk", or "behind" and a position
	slot *Slot
	// land ends it: with an error, or with what the test gives.
	land func(got []foreign, g *segment, err error)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, slots: make(map[ID]*Slot), most: 100}
	clk := clock{time.Now()}
	q := newPostQueue(queueLimits{posts: 4096, bytes: 32 << 20, patience: time.Minute, stallAfter: time.Second}, clk, &w.stats)
	in := newInbox()
	begin := func(slot *Slot, what string, land func([]foreign, *segment, error)) {
		w.loads = append(w.loads, &fakeLoad{what, slot, land})
	}
	w.c = newCommitPipeline(commitEnv{
		clock: clk, seed: maphash.MakeSeed(), stats: &w.stats, budget: newBudget(1<<30, func([]*Slot) {}),
		write:     w.write,
		room:      func() error { return w.full },
		slotsLeft: func() int64 { return w.most - int64(len(w.slots)) },
		slot:      func(id ID) *Slot { return w.slots[id] },
		enter:     func(slot *Slot) { w.slots[slot.id] = slot },
		bury: func(slot *Slot) {
			slot.dead.Store(true)
			delete(w.slots, slot.id)
			w.c.env.budget.cool(slot)
		},
		loadSlot: func(slot *Slot, then func(error)) {
			begin(slot, "slot", func(_ []foreign, _ *segment, err error) { then(err) })
		},
		loadChunk: func(slot *Slot, _ *chunk, then func(*segment, error)) {
			begin(slot, "chunk", func(_ []foreign, g *segment, err error) { then(g, err) })
		},
		loadBehind: func(slot *Slot, from uint64, then func([]foreign, bool, error)) {
			begin(slot, fmt.Sprint("behind ", from), func(got []foreign, _ *segment, err error) { then(got, false, err) })
		},
		catchUps: 1,
	}, q, in)
	ended := make(chan struct{})
	go func() { w.c.writeBatches(); close(ended) }()
	t.Cleanup(func() { close(w.c.toJournal); <-ended })
	return w
}

func (w *world) write(groups []Group) {
	var lines []string
	for i := range groups {
		g := &groups[i]
		switch g.Op {
		case OpAppend:
			ids := make([]string, len(g.Events))
			for k, ev := range g.Events {
				ids[k] = idOf(ev)
			}
			lines = append(lines, fmt.Sprintf("append %d: %s", g.First, strings.Join(ids, " ")))
		case OpCreate:
			lines = append(lines, "create")
		case OpRemove:
			lines = append(lines, "remove")
		case OpTouch:
			lines = append(lines, "touch")
		}
		g.Outcome = Stored
		if w.outcome != nil {
			g.Outcome = w.outcome(g)
		}
		if g.Outcome == Stored {
			w.version++
			g.NewVersion = w.version
		}
	}
	w.written = append(w.written, lines)
	if w.onWrite != nil {
		w.onWrite()
	}
}

// wrote checks what the journal got since the last call: batches of lines.
func (w *world) wrote(want ...[]string) {
	w.t.Helper()
	if !slices.EqualFunc(w.written, want, slices.Equal[[]string]) {
		w.t.Errorf("the journal got %q, want %q", w.written, want)
	}
	w.written = nil
}

// run is the loop, until there is nothing to do.
func (w *world) run() {
	for w.c.turn() || len(w.c.queue.posts) > 0 && w.c.rest(nil) {
	}
}

// land ends the oldest load and runs.
func (w *world) land(what string, got []foreign, g *segment, err error) {
	w.t.Helper()
	if len(w.loads) == 0 || w.loads[0].what != what {
		w.t.Fatalf("%d loads are under way, want a load of %q first", len(w.loads), what)
	}
	l := w.loads[0]
	w.loads = w.loads[1:]
	l.land(got, g, err)
	w.run()
}

// slotOf makes a slot that holds events of these ids.
func (w *world) slotOf(ids ...string) *Slot {
	slot := &Slot{id: NewID()}
	w.slots[slot.id] = slot
	for _, id := range ids {
		w.post(slot, id)
	}
	w.run()
	w.written = nil
	return slot
}

// cool makes a slot cold, as the budget would have it.
func (w *world) cool(slot *Slot) {
	w.c.inbox.askCool([]*Slot{slot})
	w.run()
	if slot.hot.Load() != nil {
		w.t.Fatal("the slot stays hot")
	}
}

// heat makes a cold slot hot, as a load would that found these ids.
func (w *world) heat(slot *Slot, ids ...string) {
	h := &hot{}
	h.snap.Store(emptySnapshot)
	slot.hot.Store(h)
	slot.count.Store(0)
	slot.bytes.Store(0)
	w.c.others.bring(slot, &Append{Op: OpAppend, Slot: slot.id, Events: eventsOf(ids...)})
}

func idOf(ev event.Event) string {
	id, _ := ev.ID(nil)
	return string(id)
}

func eventOf(id string) event.Event {
	ev, _, err := event.Accept(nil, fmt.Appendf(nil, `{"event":{"event_id":%q}}`, id))
	if err != nil {
		panic(err)
	}
	return ev
}

func eventsOf(ids ...string) (events []event.Event) {
	for _, id := range ids {
		events = append(events, eventOf(id))
	}
	return events
}

// behind is an append that a journal gives back.
func behind(slot *Slot, first uint64, mark uint64, ids ...string) foreign {
	return copyAppend(&Append{Op: OpAppend, Slot: slot.id, First: first, Mark: mark, Events: eventsOf(ids...)})
}

// post queues a post of an event with an id, or without one if id is empty.
func (w *world) post(slot *Slot, id string) *Post {
	body := fmt.Sprintf(`{"event":{"event_id":%q}}`, id)
	if id == "" {
		body = `{"event":{}}`
	}
	p := &Post{queue: w.c.queue, seed: w.c.env.seed, done: make(chan struct{}, 1), slot: slot}
	if err := p.Accept([]byte(body)); err != nil {
		w.t.Fatal(err)
	}
	p.bytes = int64(len(p.event.JSON))
	return w.put(p)
}

// act queues the creation or removal of a slot.
func (w *world) act(kind postKind, slot *Slot) *Post {
	return w.put(&Post{queue: w.c.queue, kind: kind, slot: slot, done: make(chan struct{}, 1)})
}

func (w *world) put(p *Post) *Post {
	if err := w.c.queue.put(p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// answered says whether a post has an answer, and which.
func answered(p *Post) string {
	select {
	case <-p.done:
		p.done <- struct{}{}
	default:
		return "waits"
	}
	switch {
	case p.err != nil:
		return p.err.Error()
	case p.duplicate:
		return "duplicate"
	default:
		return "stored"
	}
}

// is checks the answers of posts.
func (w *world) is(want string, posts ...*Post) {
	w.t.Helper()
	for i, p := range posts {
		if got := answered(p); got != want {
			w.t.Errorf("post %d (%s): %s, want %s", i, p.event.JSON, got, want)
		}
	}
}

// holds checks which events a slot shows.
func (w *world) holds(slot *Slot, ids ...string) {
	w.t.Helper()
	var got []string
	if h := slot.hot.Load(); h != nil {
		snap := h.snap.Load()
		for pos := range snap.count {
			c := snap.chunks[snap.find(pos)]
			got = append(got, idOf(c.seg.Load().event(int(pos-c.first))))
		}
	}
	if !slices.Equal(got, ids) {
		w.t.Errorf("the slot shows %q, want %q", got, ids)
	}
}

// nothingWaits checks that the pipeline is empty.
func (w *world) nothingWaits() {
	w.t.Helper()
	c := w.c
	posts, bytes := c.queue.waiting()
	posts += c.queue.manyEvents.Load()
	if posts != 0 || bytes != 0 || !c.parking.empty() || !c.backlog.empty() || !c.inbox.empty() || len(c.others.slots) > 0 || c.creating != 0 || c.landed != nil {
		w.t.Errorf("left: %d posts of %d bytes, %d parked slots, %d catch-ups, %d creations", posts, bytes, len(c.parking.slots), len(c.others.slots), c.creating)
	}
	for _, slot := range w.slots {
		if slot.pending != nil || slot.leaving {
			w.t.Error("a slot is still part of a batch")
		}
	}
}
