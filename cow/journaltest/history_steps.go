package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

func (h *history) allocate() {
	id, token, err := h.s.Allocate()
	if err != nil {
		h.fatal("allocate: %v", err)
	}
	h.model.totals.SlotAllocations++
	name := int(h.model.totals.SlotAllocations)
	h.model.slots = append(h.model.slots, &historySlot{name: name, id: id, token: token})
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
	if err := h.s.Window(slot, nil, 1, &w); !errors.Is(err, cow.ErrNoSlot) || h.s.Slot(m.id) != nil {
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

// post sends an event of about size bytes; an empty id is none.
func (h *history) post(i int, id string, size int) {
	m := h.model.slots[i]
	h.posted++
	event := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, h.posted, strings.Repeat(string(rune('a'+h.posted%26)), size))
	if id != "" {
		event = fmt.Sprintf(`{"event_id":"%s",%s`, id, event[1:])
	}
	known := false
	for _, have := range m.ids {
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

// after is the position behind the event with this id, 0 if there is none.
func (m *historySlot) after(id string) int {
	for i, have := range m.ids {
		if id != "" && have == id {
			return i + 1
		}
	}
	return 0
}

func (h *history) pull(i int, since string, limit int) {
	m := h.model.slots[i]
	slot := h.slot(m)
	var w cow.Window
	if err := h.s.Window(slot, []byte(since), limit, &w); err != nil {
		h.fatal("window of slot %d since %q: %v", m.name, since, err)
	}
	var got bytes.Buffer
	w.WriteTo(&got)
	want := "["
	for k, e := range m.events[m.after(since):] {
		if k == limit || k > 0 && len(want)+len(e)+2 > historyOptions().PageBytes {
			break
		}
		if k > 0 {
			want += ","
		}
		want += e
	}
	want += "]"
	if got.String() != want || w.Len() != len(want) {
		h.fatal("window of slot %d since %q, limit %d:\n%.300s\nwant\n%.300s", m.name, since, limit, got.String(), want)
	}
	at := time.Unix(1_700_000_000+int64(h.steps), 0)
	slot.MarkPulled(at)
	m.pulled = at.Unix()
	h.log("window of %d since %q, limit %d: %d events, %x", m.name, since, limit, w.Events(), digest(got.Bytes()))
}

func digest(b []byte) uint64 {
	d := fnv.New64a()
	d.Write(b)
	return d.Sum64()
}

type deaf struct{}

func (deaf) Wake(int64) {}

func (h *history) subscribe(i int, resume bool, since string) {
	m := h.model.slots[i]
	sub, err := h.s.Subscribe(h.slot(m), resume, []byte(since), deaf{})
	if err != nil {
		h.fatal("subscribe to slot %d since %q: %v", m.name, since, err)
	}
	st := &historyStream{slot: m, sub: sub, pos: len(m.events), plain: h.r.IntN(4) == 0}
	if st.plain {
		sub.Plain()
	}
	if resume {
		st.pos = m.after(since)
	}
	h.streams = append(h.streams, st)
	h.log("subscribe to %d since %q, resume %v: %d behind", m.name, since, resume, sub.Behind())
	if got := sub.Behind(); got != uint64(len(m.events)-st.pos) {
		h.fatal("a stream of slot %d since %q is %d behind, want %d", m.name, since, got, len(m.events)-st.pos)
	}
}

// read takes n bytes of a stream, or all that is there. How they come, in what
// pieces, is the store's affair.
func (h *history) read(st *historyStream, n int) {
	buf := make([]byte, frame.MaxPiece)
	var got []byte
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
			break
		}
		data = data[:min(len(data), n-len(got))]
		got = append(got, data...)
		st.sub.Wrote(len(data))
	}
	for len(st.left) < n && st.pos < len(st.slot.events) {
		st.left = appendHistoryFrame(st.left, historyFrame(st.slot.ids[st.pos], st.slot.events[st.pos]), st.plain)
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
