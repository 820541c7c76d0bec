package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httputil"
	"strings"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/token"
)

// actor does as it likes and notes what it sees.
type actor struct {
	*crowd
	n, posted int
	r         *rand.Rand
	last      map[cow.ID]string // the id that it was last told to be stored
	acks      []ack
	lots      []lot
	views     []view
	stream    *actorStream
	own       []cow.ID // slots of its own, removed again
}

type actorStream struct {
	view
	sub   *cow.Subscriber
	plain bool // its frames come without transfer chunks
	came  bytes.Buffer
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
	case k < 42:
		a.posted++
		err = a.say(slot, fmt.Sprintf("a%d-%d", a.n, a.posted))
	case k < 48:
		err = a.sayMany(slot)
	case k < 51 && id == a.trimmed():
		err = a.trim(slot)
	case k < 55 && id != a.trimmed(): // what the others also post
		err = a.say(slot, fmt.Sprintf("all-%d", a.r.IntN(200)))
	case k < 60 && a.last[id] != "" && id != a.trimmed():
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

// sayMany posts many events at once: new ones, what the others also post, and what is
// there already.
func (a *actor) sayMany(slot *cow.Slot) error {
	k := lot{slot: slot.ID()}
	own := ""
	var body []byte
	for range 1 + a.r.IntN(12) {
		id := fmt.Sprintf("all-%d", a.r.IntN(200))
		switch n := a.r.IntN(8); {
		case n < 4 || k.slot == a.trimmed():
			a.posted++
			id = fmt.Sprintf("a%d-%d", a.n, a.posted)
			k.own++
			own = id
		case n == 4 && a.last[k.slot] != "":
			id = a.last[k.slot]
		}
		k.ids = append(k.ids, id)
		body = append(append(body, actorEvent(id)...), '\n')
	}
	p := a.s.NewPost()
	defer p.Release()
	if err := p.AcceptLines(body); err != nil {
		return err
	}
	stored, duplicates, next, err := p.CommitLines(slot)
	if err != nil {
		return err
	}
	if stored < k.own || stored+duplicates != len(k.ids) {
		return fmt.Errorf("of %d events, %d of them its own new ones, %d are stored and %d duplicates", len(k.ids), k.own, stored, duplicates)
	}
	k.stored, k.next = stored, int(next)
	a.lots = append(a.lots, k)
	if own != "" {
		a.last[k.slot] = own
	}
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
	start, last := cow.After([]byte(v.since)), 0
	switch a.r.IntN(6) {
	case 0: // a position that is there, or was
		_, end := slot.Positions()
		v.since, v.start = "", a.r.IntN(int(end)+1)
		start = cow.From(uint64(v.start))
	case 1:
		last = 1 + a.r.IntN(50)
		v.since, v.seen, start = "", "", cow.Last(last)
	}
	var w cow.Window
	if err := a.s.Window(slot, start, limit, &w); errors.Is(err, cow.ErrBusy) && v.slot == a.trimmed() {
		return nil // trims came between each look at the slot and the read
	} else if err != nil {
		return err
	}
	if last > 0 {
		v.start = max(0, int(w.End())-last)
	}
	if v.slot == a.trimmed() {
		v.begin(&w, last > 0)
	}
	if w.Next() > w.End() || v.since == "" && w.Next() != uint64(v.start+w.Events()) {
		return fmt.Errorf("a window of %d events from %d says that %d comes next, of %d", w.Events(), v.start, w.Next(), w.End())
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); errors.Is(err, cow.ErrTrimmed) && v.slot == a.trimmed() {
		return nil // it left while it was written
	} else if err != nil {
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
		st := &actorStream{view: view{slot: slot.ID(), frames: true, ids: frame.IDs(a.r.IntN(int(frame.Kinds)))}}
		start := cow.Newest()
		switch a.r.IntN(4) {
		case 0:
			st.since = a.last[st.slot]
			start = cow.After([]byte(st.since))
		case 1:
			_, end := slot.Positions()
			st.start = a.r.IntN(int(end) + 1)
			start = cow.From(uint64(st.start))
		default:
			st.live, st.behind = true, a.last[st.slot]
		}
		sub, err := a.s.Subscribe(slot, start, st.ids, deaf{})
		if err != nil {
			return err
		}
		if oldest, left := sub.Trimmed(); left {
			st.asked, st.start, st.left = st.since, int(oldest), true
			st.since = ""
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
		if errors.Is(err, cow.ErrNoSlot) || errors.Is(err, cow.ErrTrimmed) && st.slot == a.trimmed() {
			a.endStream()
			return nil
		} else if err != nil {
			return err
		}
		if len(data) > 0 {
			data = data[:1+a.r.IntN(len(data))]
			st.came.Write(data)
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
	text := st.came.Bytes()
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
	if st.slot == a.trimmed() {
		st.text = string(whole)
	}
	id, _, _ := bytes.Cut(whole[len("id: "):], []byte("\n"))
	st.first = string(id)
	a.views = append(a.views, st.view)
}

// ownSlot makes a slot, uses it and removes it.
func (a *actor) ownSlot() {
	id, slotToken, owner, err := a.s.Allocate()
	if err != nil {
		a.Errorf("allocate: %v; replay: %s", err, Replay(a.seed))
		return
	}
	slot := a.s.Slot(id)
	if slot == nil || !slot.Authorize(cow.HashToken([]byte(slotToken)), 0).May(token.OfSlot) || !slot.Authorize(cow.HashToken([]byte(owner)), 0).May(token.OfOwner) {
		a.Errorf("a new slot is not there, or not with its tokens; replay: %s", Replay(a.seed))
		return
	}
	p, before := a.s.NewPost(), slot.LastUse()
	defer p.Release()
	if err := p.Accept([]byte(`{"event":{"mine":1}}`)); err == nil {
		if _, err := p.Commit(slot); err != nil {
			a.Errorf("post to a slot of one's own: %v; replay: %s", err, Replay(a.seed))
		}
	}
	if err := a.s.RemoveUnused(slot, before); !errors.Is(err, cow.ErrConflict) {
		a.Errorf("remove a slot of one's own as unused: %v, want ErrConflict; replay: %s", err, Replay(a.seed))
	}
	if err := a.s.RemoveUnused(slot, slot.LastUse()); err != nil {
		a.Errorf("remove a slot of one's own: %v; replay: %s", err, Replay(a.seed))
	}
	a.own = append(a.own, id)
}
