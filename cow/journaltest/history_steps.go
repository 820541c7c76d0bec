package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/token"
)

func (h *history) allocate() {
	id, token, owner, err := h.s.Allocate()
	if err != nil {
		h.fatal("allocate: %v", err)
	}
	h.model.totals.SlotAllocations++
	name := int(h.model.totals.SlotAllocations)
	h.model.slots = append(h.model.slots, &historySlot{name: name, id: id, token: token, owner: owner})
	h.log("allocate %d", name)
}

func (h *history) remove(i int) {
	m := h.model.slots[i]
	slot := h.slot(m)
	if err := h.s.Remove(slot); err != nil {
		h.fatal("remove slot %d: %v", m.name, err)
	}
	h.model.slots = append(h.model.slots[:i], h.model.slots[i+1:]...)
	h.log("remove %d", m.name)
	var w cow.Window
	if err := h.s.Window(slot, cow.Oldest(), 1, &w); !errors.Is(err, cow.ErrNoSlot) || h.s.Slot(m.id) != nil {
		h.fatal("slot %d is readable after its removal: %v", m.name, err)
	}
	for k := len(h.streams) - 1; k >= 0; k-- {
		if st := h.streams[k]; st.slot == m {
			if _, err := st.sub.Next(make([]byte, frame.MaxPiece)); !errors.Is(err, cow.ErrNoSlot) {
				h.fatal("a stream of slot %d goes on after its removal: %v", m.name, err)
			}
			h.leave(k)
		}
	}
}

// tokens makes a token, takes one back, or gives the slot another slot token.
func (h *history) tokens(i int) {
	m := h.model.slots[i]
	slot := h.slot(m)
	if h.r.IntN(3) == 0 {
		text, err := h.s.Rotate(slot)
		if err != nil {
			h.fatal("rotate the token of slot %d: %v", m.name, err)
		}
		m.dead = append(m.dead, m.token)
		m.token = text
		h.log("rotate %d", m.name)
		return
	}
	if len(m.further) == 0 || h.r.IntN(2) == 0 {
		rec := token.Record{May: token.Post}
		text, err := h.s.NewToken(slot, &rec, false)
		if err != nil {
			h.fatal("a token of slot %d: %v", m.name, err)
		}
		if m.further == nil {
			m.further = make(map[token.ID]string)
		}
		m.further[rec.ID] = text
		h.log("token of %d", m.name)
		return
	}
	list := h.s.Tokens(slot)
	if len(list) != len(m.further) {
		h.fatal("slot %d has %d tokens, want %d", m.name, len(list), len(m.further))
	}
	id := list[0].ID
	if err := h.s.Revoke(slot, id); err != nil {
		h.fatal("revoke a token of slot %d: %v", m.name, err)
	}
	m.dead = append(m.dead, m.further[id])
	delete(m.further, id)
	h.log("revoke of %d", m.name)
}

// trim has some of a slot's oldest events leave, or all. Streams that stand within one of
// them end.
func (h *history) trim(i int) {
	m := h.model.slots[i]
	slot := h.slot(m)
	to := m.first + h.r.IntN(len(m.events)-m.first+1)
	if h.r.IntN(6) == 0 {
		to = len(m.events)
	}
	for k := len(h.streams) - 1; k >= 0; k-- {
		switch st := h.streams[k]; {
		case st.slot != m || st.clean && len(st.left) == 0 && st.pos >= to:
		case !st.clean || len(st.left) > 0:
			h.leave(k)
		default:
			st.pos = to
		}
	}
	size := 0
	for _, e := range m.events[m.first:to] {
		size += len(e)
	}
	events, bytes, err := h.s.Trim(slot, uint64(to))
	if err != nil || events != uint64(to-m.first) || bytes != uint64(size) {
		h.fatal("trim of slot %d from %d to %d: %d events of %d bytes, %v; want %d bytes", m.name, m.first, to, events, bytes, err, size)
	}
	m.first = to
	h.log("trim of %d to %d of %d: %d bytes", m.name, to, len(m.events), slot.Bytes())
}

// post sends an event of about size bytes; an empty id is none.
func (h *history) post(i int, id string, size int) {
	m := h.model.slots[i]
	h.posted++
	event := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, h.posted, strings.Repeat(string(rune('a'+h.posted%26)), size))
	if id != "" {
		event = fmt.Sprintf(`{"event_id":"%s",%s`, id, event[1:])
	}
	known := false
	for _, have := range m.ids[m.first:] {
		known = known || id != "" && have == id
	}
	p := h.s.NewPost()
	defer p.Release()
	if err := p.Accept([]byte(`{"event":` + event + `}`)); err != nil {
		h.fatal("post: %v", err)
	}
	dup, err := p.Commit(h.slot(m))
	if err != nil || dup != known {
		h.fatal("post of %q to slot %d: duplicate %v, error %v; want duplicate %v", id, m.name, dup, err, known)
	}
	if !dup {
		m.events, m.ids = append(m.events, event), append(m.ids, id)
		h.model.totals.EventsPosted++
	}
	h.log("post %q to %d: duplicate %v, %d events", id, m.name, dup, len(m.events))
}

// postLines sends many events in one post: new ones, known ones, some without ids, some
// with the id of an earlier line, now and then large ones.
func (h *history) postLines(i int) {
	m := h.model.slots[i]
	slot := h.slot(m)
	known := make(map[string]bool)
	for _, id := range m.ids[m.first:] {
		known[id] = id != ""
	}
	var body []byte
	var ids []string // of the lines
	duplicates, before := 0, len(m.events)
	large := h.r.IntN(8) == 0
	for range 1 + h.r.IntN(40) {
		h.posted++
		id, size := fmt.Sprintf("e%d", h.posted), h.r.IntN(500)
		switch h.r.IntN(8) {
		case 0:
			id = h.anyID(m)
		case 1:
			id = ""
		case 2:
			if len(ids) > 0 {
				id = ids[h.r.IntN(len(ids))]
			}
		}
		if large && h.r.IntN(16) == 0 {
			size = 90_000
		}
		event := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, h.posted, strings.Repeat(string(rune('a'+h.posted%26)), size))
		if id != "" {
			event = fmt.Sprintf(`{"event_id":"%s",%s`, id, event[1:])
		}
		body = append(append(body, event...), '\n')
		ids = append(ids, id)
		if known[id] {
			duplicates++
			continue
		}
		known[id] = id != ""
		m.events, m.ids = append(m.events, event), append(m.ids, id)
		h.model.totals.EventsPosted++
	}
	p := h.s.NewPost()
	defer p.Release()
	if err := p.AcceptLines(body); err != nil {
		h.fatal("post of %d lines: %v", len(ids), err)
	}
	stored, dups, next, err := p.CommitLines(slot)
	if err != nil || stored != len(m.events)-before || dups != duplicates || next != uint64(len(m.events)) {
		h.fatal("post of %d lines to slot %d: %d stored, %d duplicates, next %d, error %v; want %d, %d, %d", len(ids), m.name, stored, dups, next, err, len(m.events)-before, duplicates, len(m.events))
	}
	h.log("post of %d lines to %d: %d stored, %d events", len(ids), m.name, stored, len(m.events))
}

// after is the position behind the event with this id, 0 if there is none.
func (m *historySlot) after(id string) int {
	for i, have := range m.ids[m.first:] {
		if id != "" && have == id {
			return m.first + i + 1
		}
	}
	return 0
}

// begin is where a page or a stream begins.
type begin struct {
	start cow.Start
	at    int // the position that this is, by the model
	text  string
	left  bool // it points at what has left the slot, or may do so
}

// begins chooses where to begin: mostly at an id, else at a position, or so many
// events from the end.
func (h *history) begins(m *historySlot) begin {
	n := len(m.events)
	switch h.r.IntN(4) {
	case 0:
		pos := h.r.IntN(n + 3)
		if h.r.IntN(2) == 0 {
			pos = max(0, n-h.r.IntN(20))
		}
		return begin{cow.From(uint64(pos)), min(max(pos, m.first), n), fmt.Sprintf("from %d", pos), pos < m.first}
	case 1:
		last := h.r.IntN(40)
		return begin{cow.Last(last), max(m.first, n-last), fmt.Sprintf("the last %d", last), false}
	}
	return m.behind(h.anyID(m))
}

// behind begins behind the event with this id.
func (m *historySlot) behind(id string) begin {
	return begin{cow.After([]byte(id)), max(m.after(id), m.first), fmt.Sprintf("since %q", id), m.first > 0 && id != "" && m.after(id) == 0}
}

func (h *history) pull(i int, from begin, limit int) {
	m := h.model.slots[i]
	slot := h.slot(m)
	var w cow.Window
	if err := h.s.Window(slot, from.start, limit, &w); err != nil {
		h.fatal("window of slot %d %s: %v", m.name, from.text, err)
	}
	var got bytes.Buffer
	w.WriteTo(&got)
	want, next := "[", from.at
	for k, e := range m.events[from.at:] {
		if k == limit || k > 0 && len(want)+len(e)+2 > historyOptions().PageBytes {
			break
		}
		if k > 0 {
			want += ","
		}
		want += e
		next++
	}
	want += "]"
	if got.String() != want || w.Len() != len(want) {
		h.fatal("window of slot %d %s, limit %d:\n%.300s\nwant\n%.300s", m.name, from.text, limit, got.String(), want)
	}
	if w.Next() != uint64(next) || w.End() != uint64(len(m.events)) {
		h.fatal("window of slot %d %s, limit %d: next %d, end %d; want %d, %d", m.name, from.text, limit, w.Next(), w.End(), next, len(m.events))
	}
	if oldest, left := w.Trimmed(); left != from.left || left && oldest != uint64(m.first) {
		h.fatal("window of slot %d %s begins at what has left: %v, the oldest stands at %d; want %v, %d", m.name, from.text, left, oldest, from.left, m.first)
	}
	at := time.Unix(1_700_000_000+int64(h.steps), 0)
	slot.MarkPulled(at)
	m.pulled = at.Unix()
	h.log("window of %d %s, limit %d: %d events, %x", m.name, from.text, limit, w.Events(), digest(got.Bytes()))
}

func digest(b []byte) uint64 {
	d := fnv.New64a()
	d.Write(b)
	return d.Sum64()
}

type deaf struct{}

func (deaf) Wake(int64) {}

func (h *history) subscribe(i int, from begin, ids frame.IDs) {
	m := h.model.slots[i]
	sub, err := h.s.Subscribe(h.slot(m), from.start, ids, deaf{})
	if err != nil {
		h.fatal("subscribe to slot %d %s: %v", m.name, from.text, err)
	}
	st := &historyStream{slot: m, sub: sub, ids: ids, pos: from.at, clean: true, plain: h.r.IntN(4) == 0}
	if st.plain {
		sub.Plain()
	}
	h.streams = append(h.streams, st)
	if oldest, left := sub.Trimmed(); left != from.left || left && oldest != uint64(m.first) {
		h.fatal("a stream of slot %d %s begins at what has left: %v, the oldest stands at %d; want %v, %d", m.name, from.text, left, oldest, from.left, m.first)
	}
	h.log("subscribe to %d %s, ids %d: %d behind", m.name, from.text, ids, sub.Behind())
	if got := sub.Behind(); got != uint64(len(m.events)-st.pos) {
		h.fatal("a stream of slot %d %s is %d behind, want %d", m.name, from.text, got, len(m.events)-st.pos)
	}
}

// read takes n bytes of a stream, or all that is there. How they come, in what
// pieces, is the store's affair.
func (h *history) read(st *historyStream, n int) {
	buf := make([]byte, frame.MaxPiece)
	var got []byte
	st.clean = false
	for len(got) < n {
		data, err := st.sub.Next(buf)
		if errors.Is(err, cow.ErrNotResident) {
			if err := st.sub.Load(); err != nil {
				h.fatal("a stream of slot %d can't load: %v", st.slot.name, err)
			}
			continue
		}
		if err != nil {
			h.fatal("a stream of slot %d: %v", st.slot.name, err)
		}
		if data == nil {
			st.clean = true
			break
		}
		data = data[:min(len(data), n-len(got))]
		got = append(got, data...)
		st.sub.Wrote(len(data))
	}
	for len(st.left) < n && st.pos < len(st.slot.events) {
		id := st.slot.ids[st.pos]
		if st.ids == frame.Positions {
			id = strconv.Itoa(st.pos)
		}
		st.left = appendHistoryFrame(st.left, historyFrame(id, st.slot.events[st.pos]), st.plain)
		st.pos++
	}
	want := st.left[:min(n, len(st.left))]
	if !bytes.Equal(got, want) {
		h.fatal("a stream of slot %d gave %d bytes\n%.300q\nwant %d\n%.300q", st.slot.name, len(got), got, len(want), want)
	}
	st.left = st.left[len(want):]
	h.log("stream of %d: %d bytes, %x", st.slot.name, len(got), digest(got))
}

func historyFrame(id, event string) string {
	if id == "" {
		return "data: " + event + "\n\n"
	}
	return "id: " + id + "\ndata: " + event + "\n\n"
}

// appendHistoryFrame appends what goes out for a frame: itself, or in transfer
// chunks (RFC 9112, 7.1) that are no longer than a piece.
func appendHistoryFrame(dst []byte, text string, plain bool) []byte {
	if plain {
		return append(dst, text...)
	}
	const most = frame.MaxPiece - len("ffff\r\n\r\n")
	for len(text) > 0 {
		n := min(len(text), most)
		dst = fmt.Appendf(dst, "%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	return dst
}

func (h *history) leave(k int) {
	h.streams[k].sub.Close()
	h.streams = append(h.streams[:k], h.streams[k+1:]...)
}
