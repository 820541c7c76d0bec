package journaltest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

const historyActors = 8

// HistoryAtOnce runs scripts of a seed with eight actors at once, some rounds
// with a restart between them. What they saw is held against the order that the
// journal gives when it is loaded at last: each acknowledged event is in it
// exactly once, each page and each stream is a part of it without a gap, from
// where it had to begin, and no actor misses what it was told is stored. Events leave one
// of the slots meanwhile: readers go over that gap, and over no other.
func HistoryAtOnce(t testing.TB, open Open, seed uint64, steps int) {
	t.Helper()
	h := &crowd{history: history{TB: t, seed: seed}, trims: map[int]bool{}}
	h.j, h.records, h.reopen = open(t)
	h.start()
	for range 4 {
		id, _, _, err := h.s.Allocate()
		if err != nil {
			h.fatal("allocate: %v", err)
		}
		h.slots = append(h.slots, id)
	}
	actors := make([]*actor, historyActors)
	for i := range actors {
		actors[i] = &actor{crowd: h, n: i, r: rand.New(rand.NewPCG(seed, uint64(i)+1)), last: make(map[cow.ID]string)}
	}
	const rounds = 3
	for round := range rounds {
		var wg sync.WaitGroup
		for _, a := range actors {
			wg.Go(func() {
				for range steps / rounds {
					if !a.step() {
						return
					}
				}
				a.endStream()
			})
		}
		if round == 1 { // one slot goes while all use it
			if err := h.s.Remove(h.s.Slot(h.slots[3])); err != nil {
				h.Errorf("remove: %v; replay: %s", err, Replay(seed))
			}
		}
		wg.Wait()
		if err := actors[0].trim(h.s.Slot(h.trimmed())); err != nil {
			h.Errorf("%v; replay: %s", err, Replay(seed))
		}
		if t.Failed() {
			h.s.Close()
			t.FailNow()
		}
		h.stop()
		h.j, h.records = h.reopen()
		h.start()
	}
	h.stop()
	h.judge(actors)
}

// crowd is what the actors share.
type crowd struct {
	history
	slots []cow.ID // the last one is removed at half time; events leave the one before

	trimming sync.Mutex // one trims at a time
	left     []string   // what has left, by position; guarded by trimming
	trimMu   sync.Mutex
	trims    map[int]bool // where the slot began, or may have begun; guarded by trimMu
}

type ack struct {
	slot cow.ID
	id   string
	dup  bool
}

// lot is what an actor was told of a post of many events.
type lot struct {
	slot         cow.ID
	ids          []string // of its lines
	own          int      // that nobody else posts
	stored, next int
}

// judgeLot holds a post of many events against the order of its slot: all its events are
// there, and those that it stored stand side by side, in their order.
func (h *crowd) judgeLot(n int, k lot, at map[string]int, order []string) {
	h.Helper()
	for _, id := range k.ids {
		if _, ok := at[id]; !ok {
			h.fatal("I3: actor %d posted %s with others and was told that all are there, and it is not", n, id)
		}
	}
	if k.next > len(order) || k.stored > k.next {
		h.fatal("I2: actor %d was told that its %d events end at %d of %d", n, k.stored, k.next, len(order))
	}
	rest := k.ids
	for _, id := range order[k.next-k.stored : k.next] {
		at := slices.Index(rest, id)
		if at < 0 {
			h.fatal("I2: [%d, %d) is %v, and not what actor %d posted: %v", k.next-k.stored, k.next, order[k.next-k.stored:k.next], n, k.ids)
		}
		rest = rest[at+1:]
	}
}

// view is a page or what a stream gave.
type view struct {
	slot   cow.ID
	since  string // the event in front of it; "" is the beginning, or start
	start  int    // the position where it begins, if it was asked for by position
	behind string // the view begins no earlier than behind this event
	live   bool   // begins anywhere behind that, for want of a since
	events int
	sum    uint64
	seen   string // an event that must be in it, or in front of it
	frames bool
	ids    frame.IDs
	first  string // id line of the first event of a live stream

	// Of the slot that events leave:
	left  bool   // it begins at the oldest event, as what it was to begin behind has left
	asked string // the id that was asked for then; "" if it was a position
	text  string // the whole frames of a stream
}

// judge loads the journal and holds what the actors saw against it.
func (h *crowd) judge(actors []*actor) {
	h.Helper()
	order := make(map[cow.ID][]string)    // ids
	at := make(map[cow.ID]map[string]int) // position of an id
	text := make(map[cow.ID][]string)     // events
	for _, id := range h.slots[:3] {
		at[id] = make(map[string]int)
		events, err := load(h.j, id, 0)
		if err != nil {
			h.fatal("load: %v", err)
		}
		if id == h.trimmed() {
			events = h.whole(events)
		}
		for pos, e := range events {
			raw, ok := e.ID(nil)
			if !ok || string(e.JSON) != actorEvent(string(raw)) {
				h.fatal("position %d holds what nobody posted: %.100s", pos, e.JSON)
			}
			eventID := string(raw)
			if first, twice := at[id][eventID]; twice {
				h.fatal("I5: %s is at %d and at %d", eventID, first, pos)
			}
			at[id][eventID] = pos
			order[id] = append(order[id], eventID)
			text[id] = append(text[id], string(e.JSON))
		}
	}
	if _, err := load(h.j, h.slots[3], 0); !errors.Is(err, cow.ErrNoSlot) {
		h.fatal("the removed slot can be loaded: %v", err)
	}
	stored := make(map[cow.ID]int)
	views := 0
	for _, a := range actors {
		for _, k := range a.acks {
			if _, ok := at[k.slot][k.id]; !ok && k.slot != h.slots[3] {
				h.fatal("I3: actor %d was told that %s is stored (duplicate %v), and it is not there", a.n, k.id, k.dup)
			}
			if !k.dup {
				stored[k.slot]++
			}
		}
		for _, k := range a.lots {
			if k.slot != h.slots[3] {
				h.judgeLot(a.n, k, at[k.slot], order[k.slot])
				stored[k.slot] += k.stored
			}
		}
		for _, v := range a.views {
			switch {
			case v.slot == h.slots[3]:
			case v.text != "":
				h.judgeTrail(a.n, v, at[v.slot], text[v.slot])
				views++
			default:
				h.judgeView(a.n, v, at[v.slot], text[v.slot], order[v.slot])
				views++
			}
		}
		for _, id := range a.own {
			if _, err := load(h.j, id, 0); !errors.Is(err, cow.ErrNoSlot) {
				h.fatal("a slot that actor %d removed can be loaded: %v", a.n, err)
			}
		}
	}
	for id, n := range stored {
		if id != h.slots[3] && n != len(order[id]) {
			h.fatal("I5: %d posts were told that they are stored, and %d events are there", n, len(order[id]))
		}
	}
	if views == 0 {
		h.fatal("nobody saw anything")
	}
}

func (h *crowd) judgeView(n int, v view, at map[string]int, text, order []string) {
	h.Helper()
	start := v.start
	if v.since != "" {
		start = at[v.since] + 1
	}
	h.judgeBegin(n, v, at)
	if v.live {
		pos, ok := at[v.first]
		if v.ids == frame.Positions {
			n, err := strconv.Atoi(v.first)
			pos, ok = n, err == nil && n < len(text)
		}
		if !ok {
			h.fatal("actor %d saw a stream begin with %s, which is not there", n, v.first)
		}
		if v.behind != "" && pos <= at[v.behind] {
			h.fatal("I6: actor %d began to listen behind %s (%d), and got %s (%d)", n, v.behind, at[v.behind], v.first, pos)
		}
		start = pos
	}
	end := start + v.events
	if end > len(text) {
		h.fatal("actor %d saw [%d, %d) of %d events", n, start, end, len(text))
	}
	var want strings.Builder
	if v.frames {
		for pos := start; pos < end; pos++ {
			id := order[pos]
			if v.ids == frame.Positions {
				id = strconv.Itoa(pos)
			}
			want.WriteString(historyFrame(id, text[pos]))
		}
	} else {
		want.WriteString("[" + strings.Join(text[start:end], ",") + "]")
	}
	if digest([]byte(want.String())) != v.sum {
		h.fatal("I2, I6: what actor %d saw since %q, or from %d, is not [%d, %d) of the journal (stream %v)", n, v.since, v.start, start, end, v.frames)
	}
	if v.seen != "" && !v.frames && at[v.seen] >= end {
		h.fatal("I3: actor %d was told that %s is stored, at %d, and then saw only [%d, %d)", n, v.seen, at[v.seen], start, end)
	}
}
