package journaltest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// History runs the random script of a seed on a store over a journal: slots
// made and removed, events, duplicates, pages, streams, evictions, restarts.
// It holds every outcome against a model and returns the transcript of all
// outcomes, which is the same for one seed on every journal.
func History(t testing.TB, open Open, seed uint64, steps int) (transcript string) {
	t.Helper()
	h := &history{TB: t, seed: seed, r: rand.New(rand.NewPCG(seed, 0)), model: &historyModel{}}
	h.j, h.records, h.reopen = open(t)
	h.start()
	h.allocate()
	for range steps {
		h.steps++
		h.step()
	}
	h.restart() // what is left must be there
	for i := range h.model.slots {
		h.pull(i, "", 1000)
	}
	h.stop()
	h.Logf("seed %d: %d chunks and slots were evicted", seed, h.evicted)
	return h.transcript.String()
}

// historyOptions keep so little in memory that chunks and slots come and go,
// and yet the tails of all slots with streams, which stay: a slot has at most
// a quarter of a megabyte there.
func historyOptions() cow.Options {
	return cow.Options{
		MemoryBudget: 1664 << 10, PageBytes: 24 << 10, LoadPatience: time.Minute, StallAfter: time.Minute,
		QueueTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	}
}

type history struct {
	testing.TB
	seed       uint64
	steps      int
	r          *rand.Rand
	j          cow.Journal
	records    cow.Records
	reopen     func() (cow.Journal, cow.Records)
	s          *cow.Store
	model      *historyModel
	streams    []*historyStream
	transcript strings.Builder
	posted     int
	evicted    uint64 // chunks and slots
}

// historyModel is what the store must be like.
type historyModel struct {
	slots  []*historySlot
	totals cow.Totals
}

type historySlot struct {
	name   int // slot ids are random, names are not
	id     cow.ID
	token  string
	events []string
	ids    []string
	pulled int64
}

type historyStream struct {
	slot  *historySlot
	sub   *cow.Subscriber
	plain bool   // its frames come without transfer chunks
	left  []byte // what stands in front of event pos, as far as it was not read
	pos   int
}

func (h *history) start() {
	s, err := cow.Open(h.j, h.records, historyOptions())
	if err != nil {
		h.fatal("open: %v", err)
	}
	h.s = s
}

func (h *history) stop() {
	for len(h.streams) > 0 {
		h.leave(0)
	}
	m := h.s.Memory()
	h.evicted += m.EvictedChunks + m.EvictedSlots
	if err := h.s.Close(); err != nil {
		h.fatal("close: %v", err)
	}
}

func (h *history) restart() {
	h.stop()
	h.j, h.records = h.reopen()
	h.start()
	h.log("restart: %d slots, totals %+v", h.s.Len(), h.s.Totals())
	if h.s.Len() != len(h.model.slots) || h.s.Totals() != h.model.totals {
		h.fatal("after a restart: %d slots, totals %+v; want %d, %+v", h.s.Len(), h.s.Totals(), len(h.model.slots), h.model.totals)
	}
	for _, m := range h.model.slots {
		slot := h.slot(m)
		if !slot.Authorize(cow.HashToken([]byte(m.token))) {
			h.fatal("slot %d does not take its token after a restart", m.name)
		}
		if got := slot.PulledAt(); got != m.pulled {
			h.fatal("slot %d was pulled at %d, want %d", m.name, got, m.pulled)
		}
	}
}

// fatal ends the test with what is needed to run the script again.
func (h *history) fatal(format string, args ...any) {
	h.Helper()
	h.Fatalf("step %d of seed %d: %s\nreplay: %s", h.steps, h.seed, fmt.Sprintf(format, args...), Replay(h.seed))
}

// Replay is the command that runs the histories of a seed again.
func Replay(seed uint64) string {
	return fmt.Sprintf("go test ./cow/journaltest -run '^TestHistory' -seed=%d", seed)
}

func (h *history) log(format string, args ...any) {
	fmt.Fprintf(&h.transcript, format+"\n", args...)
}

func (h *history) slot(m *historySlot) *cow.Slot {
	slot := h.s.Slot(m.id)
	if slot == nil {
		h.fatal("slot %d is not there", m.name)
	}
	if slot.Count() != uint64(len(m.events)) {
		h.fatal("slot %d counts %d events, want %d", m.name, slot.Count(), len(m.events))
	}
	return slot
}

func (h *history) step() {
	n := len(h.model.slots)
	if n == 0 {
		h.allocate()
		return
	}
	i := h.r.IntN(n)
	switch k := h.r.IntN(100); {
	case k < 3 && n < 4:
		h.allocate()
	case k < 4:
		h.remove(i)
	case k < 6:
		h.restart()
	case k < 36:
		for range 1 + h.r.IntN(8) {
			h.post(i, fmt.Sprintf("e%d", h.posted), h.r.IntN(700))
		}
	case k < 42: // fills chunks, and makes others leave
		h.post(i, fmt.Sprintf("e%d", h.posted), 30_000+h.r.IntN(90_000))
	case k < 48:
		h.post(i, h.anyID(h.model.slots[i]), 10)
	case k < 52:
		h.post(i, "", h.r.IntN(100))
	case k < 78:
		h.pull(i, h.anyID(h.model.slots[i]), h.r.IntN(60))
	case k < 86 && len(h.streams) < 8:
		h.subscribe(i, h.r.IntN(3) > 0, h.anyID(h.model.slots[i]))
	case len(h.streams) == 0:
	case k < 97:
		h.read(h.streams[h.r.IntN(len(h.streams))], 1+h.r.IntN(40_000))
	default:
		h.leave(h.r.IntN(len(h.streams)))
	}
}

// anyID is an id of the slot, mostly a newer one; seldom one that it does not
// have, or none.
func (h *history) anyID(m *historySlot) string {
	n := len(m.ids)
	switch k := h.r.IntN(12); {
	case k == 0 || n == 0:
		return "unknown"
	case k == 1:
		return ""
	case k < 6:
		return m.ids[h.r.IntN(n)]
	default:
		return m.ids[n-1-h.r.IntN(min(n, 20))]
	}
}

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
