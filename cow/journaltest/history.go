package journaltest

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/token"
)

// History runs the random script of a seed on a store over a journal: slots
// made and removed, events one by one and many in one post, duplicates, pages, streams, evictions, restarts.
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
		h.pull(i, h.model.slots[i].behind(""), 1000)
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
	name         int // slot ids are random, names are not
	id           cow.ID
	token, owner string
	further      map[token.ID]string // texts of further tokens
	dead         []string            // texts of tokens that were taken back or replaced
	events       []string
	ids          []string
	first        int // how many of the events have left
	pulled       int64
}

type historyStream struct {
	slot  *historySlot
	sub   *cow.Subscriber
	ids   frame.IDs
	plain bool   // its frames come without transfer chunks
	left  []byte // what stands in front of event pos, as far as it was not read
	pos   int
	clean bool // all that was given was taken: the store's cursor stands between two frames
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
		if !slot.Authorize(cow.HashToken([]byte(m.token)), 0).May(token.OfSlot) {
			h.fatal("slot %d does not take its token after a restart", m.name)
		}
		if !slot.Authorize(cow.HashToken([]byte(m.owner)), 0).May(token.OfOwner) {
			h.fatal("slot %d does not take its owner's token after a restart", m.name)
		}
		for id, text := range m.further {
			if !slot.Authorize(cow.HashToken([]byte(text)), 0).May(token.Post) {
				h.fatal("slot %d does not take token %s after a restart", m.name, id)
			}
		}
		for _, text := range m.dead {
			if slot.Authorize(cow.HashToken([]byte(text)), 0).OK() {
				h.fatal("slot %d takes a token after a restart that was taken back", m.name)
			}
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
	if slot.Count() != uint64(len(m.events)-m.first) {
		h.fatal("slot %d counts %d events, want %d", m.name, slot.Count(), len(m.events)-m.first)
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
	case k < 7:
		h.tokens(i)
	case k < 10:
		h.trim(i)
	case k < 36:
		for range 1 + h.r.IntN(8) {
			h.post(i, fmt.Sprintf("e%d", h.posted), h.r.IntN(700))
		}
	case k < 42: // fills chunks, and makes others leave
		h.post(i, fmt.Sprintf("e%d", h.posted), 30_000+h.r.IntN(90_000))
	case k < 48:
		h.post(i, h.anyID(h.model.slots[i]), 10)
	case k < 51:
		h.post(i, "", h.r.IntN(100))
	case k < 56:
		h.postLines(i)
	case k < 78:
		h.pull(i, h.begins(h.model.slots[i]), h.r.IntN(60))
	case k < 86 && len(h.streams) < 8:
		m := h.model.slots[i]
		from := begin{cow.Newest(), len(m.events), "at the newest", false}
		if h.r.IntN(3) > 0 {
			from = h.begins(m)
		}
		h.subscribe(i, from, frame.IDs(h.r.IntN(int(frame.Kinds))))
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
