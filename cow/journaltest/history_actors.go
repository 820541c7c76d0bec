package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httputil"
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
// where it had to begin, and no actor misses what it was told is stored.
func HistoryAtOnce(t testing.TB, open Open, seed uint64, steps int) {
	t.Helper()
	h := &crowd{history: history{TB: t, seed: seed}}
	h.j, h.records, h.reopen = open(t)
	h.start()
	for range 4 {
		id, _, err := h.s.Allocate()
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
	slots []cow.ID // the last one is removed at half time
}

// actor does as it likes and notes what it sees.
type actor struct {
	*crowd
	n, posted int
	r         *rand.Rand
	last      map[cow.ID]string // the id that it was last told to be stored
	acks      []ack
	views     []view
	stream    *actorStream
	own       []cow.ID // slots of its own, removed again
}

type ack struct {
	slot cow.ID
	id   string
	dup  bool
}

// view is a page or what a stream gave.
type view struct {
	slot   cow.ID
	since  string // the event in front of it; "" is the beginning
	behind string // the view begins no earlier than behind this event
	live   bool   // begins anywhere behind that, for want of a since
	events int
	sum    uint64
	seen   string // an event that must be in it, or in front of it
	frames bool
	first  string // id of the first event of a live stream
}

type actorStream struct {
	view
	sub   *cow.Subscriber
	plain bool // its frames come without transfer chunks
	text  bytes.Buffer
}

// actorEvent is the event of an id: whoever sees it can tell that it is whole.
func actorEvent(id string) string {
	return fmt.Sprintf(`{"event_id":"%s","pad":"%s"}`, id, strings.Repeat(id, 1+len(id)*7%31+int(digest([]byte(id))%97)))
}

// step does one thing; false ends the script, as a test has failed.
func (a *actor) step() bool {
	if a.Failed() {
		return false
	}
	id := a.slots[a.r.IntN(len(a.slots))]
	slot := a.s.Slot(id)
	if slot == nil {
		if id != a.slots[3] {
			a.Errorf("slot %s is not there; replay: %s", id, Replay(a.seed))
		}
		return true
	}
	var err error
	switch k := a.r.IntN(100); {
	case k < 45:
		a.posted++
		err = a.say(slot, fmt.Sprintf("a%d-%d", a.n, a.posted))
	case k < 55: // what the others also post
		err = a.say(slot, fmt.Sprintf("all-%d", a.r.IntN(200)))
	case k < 60 && a.last[id] != "":
		err = a.say(slot, a.last[id])
	case k < 85:
		err = a.pull(slot)
	case k < 98:
		err = a.listen(slot)
	default:
		a.ownSlot()
	}
	// Whoever reads the journal may learn of a removal before the slot is
	// marked.
	if err != nil && !(errors.Is(err, cow.ErrNoSlot) && id == a.slots[3]) {
		a.Errorf("actor %d of seed %d: %v; replay: %s", a.n, a.seed, err, Replay(a.seed))
	}
	return true
}

func (a *actor) say(slot *cow.Slot, id string) error {
	p := a.s.NewPost()
	defer p.Release()
	if err := p.Accept([]byte(`{"event":` + actorEvent(id) + `}`)); err != nil {
		return err
	}
	dup, err := p.Commit(slot)
	if err != nil {
		return err
	}
	if id == a.last[slot.ID()] && !dup {
		return fmt.Errorf("I5: %s is stored twice", id)
	}
	a.acks = append(a.acks, ack{slot.ID(), id, dup})
	a.last[slot.ID()] = id
	return nil
}

func (a *actor) pull(slot *cow.Slot) error {
	v := view{slot: slot.ID(), seen: a.last[slot.ID()]}
	if a.r.IntN(3) > 0 {
		v.since = v.seen
		for _, k := range a.acks[len(a.acks)-min(len(a.acks), 30):] {
			if k.slot == v.slot && a.r.IntN(4) == 0 {
				v.since = k.id
			}
		}
	}
	limit := 1 + a.r.IntN(400)
	var w cow.Window
	if err := a.s.Window(slot, []byte(v.since), limit, &w); err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		return err
	}
	if b.Len() != w.Len() {
		return fmt.Errorf("a window of %d bytes wrote %d", w.Len(), b.Len())
	}
	v.events, v.sum = w.Events(), digest(b.Bytes())
	if v.events == limit || b.Len() > historyOptions().PageBytes*3/4 {
		v.seen = "" // may be behind it
	}
	a.views = append(a.views, v)
	return nil
}

// listen goes on with the actor's stream, or begins one.
func (a *actor) listen(slot *cow.Slot) error {
	if a.stream == nil {
		st := &actorStream{view: view{slot: slot.ID(), frames: true}}
		resume := a.r.IntN(2) == 0
		if resume {
			st.since = a.last[st.slot]
		} else {
			st.live, st.behind = true, a.last[st.slot]
		}
		sub, err := a.s.Subscribe(slot, resume, []byte(st.since), deaf{})
		if err != nil {
			return err
		}
		if st.sub = sub; a.r.IntN(4) == 0 {
			st.plain = true
			sub.Plain()
		}
		a.stream = st
	}
	st := a.stream
	buf := make([]byte, frame.MaxPiece)
	for range 1 + a.r.IntN(6) {
		data, err := st.sub.Next(buf)
		if errors.Is(err, cow.ErrNotResident) {
			err = st.sub.Load()
		}
		if errors.Is(err, cow.ErrNoSlot) {
			a.endStream()
			return nil
		} else if err != nil {
			return err
		}
		if len(data) > 0 {
			data = data[:1+a.r.IntN(len(data))]
			st.text.Write(data)
			st.sub.Wrote(len(data))
		}
	}
	if a.r.IntN(10) == 0 {
		a.endStream()
	}
	return nil
}

func (a *actor) endStream() {
	st := a.stream
	if st == nil {
		return
	}
	st.sub.Close()
	a.stream = nil
	text := st.text.Bytes()
	if !st.plain {
		// It was left anywhere: the error is that the last chunk did not come.
		text, _ = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(text)))
	}
	end := bytes.LastIndex(text, []byte("\n\n"))
	if end < 0 {
		return
	}
	whole := text[:end+2]
	st.events = bytes.Count(whole, []byte("\n\n"))
	st.sum = digest(whole)
	id, _, _ := bytes.Cut(whole[len("id: "):], []byte("\n"))
	st.first = string(id)
	a.views = append(a.views, st.view)
}

// ownSlot makes a slot, uses it and removes it.
func (a *actor) ownSlot() {
	id, token, err := a.s.Allocate()
	if err != nil {
		a.Errorf("allocate: %v; replay: %s", err, Replay(a.seed))
		return
	}
	slot := a.s.Slot(id)
	if slot == nil || !slot.Authorize(cow.HashToken([]byte(token))) {
		a.Errorf("a new slot is not there, or not with its token; replay: %s", Replay(a.seed))
		return
	}
	p := a.s.NewPost()
	defer p.Release()
	if err := p.Accept([]byte(`{"event":{"mine":1}}`)); err == nil {
		if _, err := p.Commit(slot); err != nil {
			a.Errorf("post to a slot of one's own: %v; replay: %s", err, Replay(a.seed))
		}
	}
	if err := a.s.Remove(slot); err != nil {
		a.Errorf("remove a slot of one's own: %v; replay: %s", err, Replay(a.seed))
	}
	a.own = append(a.own, id)
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
		for _, v := range a.views {
			if v.slot != h.slots[3] {
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
	start := 0
	if v.since != "" {
		start = at[v.since] + 1
	}
	if v.live {
		pos, ok := at[v.first]
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
			want.WriteString(historyFrame(order[pos], text[pos]))
		}
	} else {
		want.WriteString("[" + strings.Join(text[start:end], ",") + "]")
	}
	if digest([]byte(want.String())) != v.sum {
		h.fatal("I2, I6: what actor %d saw since %q is not [%d, %d) of the journal (stream %v)", n, v.since, start, end, v.frames)
	}
	if v.seen != "" && !v.frames && at[v.seen] >= end {
		h.fatal("I3: actor %d was told that %s is stored, at %d, and then saw only [%d, %d)", n, v.seen, at[v.seen], start, end)
	}
}
