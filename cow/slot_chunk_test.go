package cow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"cowrelay/cow/event"
)

// bareSlot is a hot slot and a store that only its readers need.
func bareSlot() (*Store, *Slot, *hot) {
	s := &Store{budget: newBudget(1<<40, nil)}
	s.opts.setDefaults()
	s.loads = newLoader(loadEnv{budget: s.budget, stats: &s.stats}, &s.opts)
	h := new(hot)
	h.snap.Store(emptySnapshot)
	slot := new(Slot)
	slot.hot.Store(h)
	return s, slot, h
}

func rawEvent(size int) event.Event {
	return event.Event{JSON: fmt.Appendf(nil, `{"p":"%s"}`, strings.Repeat("x", max(0, size-8)))}
}

// randomSize is mostly small, sometimes large, seldom huge.
func randomSize(r *rand.Rand) int {
	switch r.IntN(120) {
	case 0:
		return event.MaxBytes - r.IntN(1000)
	case 1, 2:
		return r.IntN(maxChunkBytes / 2)
	case 3, 4, 5, 6:
		return r.IntN(4000)
	}
	return 8 + r.IntN(300)
}

func TestAppender_I2_WindowsEqualModel(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 2 // the plain run takes more
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		s, slot, h := bareSlot()
		s.opts.PageBytes = 1 << 40
		var model [][]byte
		var w Window
		for len(model) < 500 {
			for range 1 + r.IntN(20) {
				ev := event.Event{JSON: fmt.Appendf(nil, `{"n":%d,"p":"%s"}`, len(model), strings.Repeat("y", randomSize(r)))}
				h.add(ev)
				model = append(model, ev.JSON)
			}
			h.publish()
			start := r.IntN(len(model) + 1)
			limit := r.IntN(len(model) + 2)
			snap := h.snap.Load()
			checkSnapshot(t, snap, len(model))
			// Window starts at a since; without ids it starts at 0, so look at
			// any start through the snapshot and at prefixes through Window.
			end := min(len(model), start+limit)
			want := bytes.Join(model[start:end], []byte{','})
			if got := slice(snap, uint64(start), uint64(end)); !bytes.Equal(got, want) {
				t.Fatalf("seed %d: [%d, %d) of %d events differs from the model", seed, start, end, len(model))
			}
			if err := s.Window(slot, Oldest(), limit, &w); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			w.WriteTo(&b)
			n := min(limit, len(model))
			if want := "[" + string(bytes.Join(model[:n], []byte{','})) + "]"; b.String() != want || w.Len() != len(want) || w.Events() != n {
				t.Fatalf("seed %d: window of %d of %d events differs from the model", seed, limit, len(model))
			}
		}
	}
}

// slice joins the events [start, end) as a snapshot shows them.
func slice(snap *snapshot, start, end uint64) (out []byte) {
	for pos := start; pos < end; {
		i := snap.find(pos)
		c := snap.chunks[i]
		stop := min(end, snap.end(i))
		if pos > start {
			out = append(out, ',')
		}
		out = append(out, c.seg.Load().span(int(pos-c.first), int(stop-c.first))...)
		pos = stop
	}
	return out
}

func checkSnapshot(t *testing.T, snap *snapshot, events int) {
	t.Helper()
	if snap.count != uint64(events) {
		t.Fatalf("I2: the snapshot counts %d events of %d", snap.count, events)
	}
	next := uint64(0)
	for i, c := range snap.chunks {
		if c.first != next || snap.end(i) <= c.first {
			t.Fatalf("I2: chunk %d is [%d, %d), want it to begin at %d", i, c.first, snap.end(i), next)
		}
		next = snap.end(i)
	}
}

// What a snapshot shows stays as it is and where it is, whatever is added
// behind it: growth moves no event.
func TestAppender_I1_SnapshotsAreFrozen(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	_, _, h := bareSlot()
	type kept struct {
		snap *snapshot
		text string
	}
	var snaps []kept
	var at []*byte // of each event when it was first shown
	for len(at) < 3000 {
		for range 1 + r.IntN(40) {
			h.add(rawEvent(8 + r.IntN(900)))
		}
		h.publish()
		snap := h.snap.Load()
		for pos := uint64(len(at)); pos < snap.count; pos++ {
			at = append(at, firstByte(snap, pos))
		}
		if r.IntN(10) == 0 {
			snaps = append(snaps, kept{snap, string(slice(snap, 0, snap.count))})
		}
	}
	for _, k := range snaps {
		if got := string(slice(k.snap, 0, k.snap.count)); got != k.text {
			t.Fatalf("I1: the snapshot of %d events has changed", k.snap.count)
		}
	}
	for pos, p := range at {
		if firstByte(h.snap.Load(), uint64(pos)) != p {
			t.Fatalf("event %d was copied when its slot grew", pos)
		}
	}
}

func firstByte(snap *snapshot, pos uint64) *byte {
	c := snap.chunks[snap.find(pos)]
	return &c.seg.Load().event(int(pos - c.first)).JSON[0]
}

// The work of growth is what is allocated (cleared) and what tables are moved.
// Per appended byte and event it has one bound for any length.
func TestAppender_WorkIsAmortisedConstant(t *testing.T) {
	const eventSize = 200
	for _, events := range []int{1, 10, 100, 1000, 10_000, 100_000} {
		var a appender
		ev := rawEvent(eventSize)
		var work, worst int
		for range events {
			var was *segment
			if a.tail != nil {
				was = a.tail
			}
			a.add(ev)
			step := len(ev.JSON)
			if g := a.tail; g != was {
				if was == nil || unsafe.SliceData(g.data) != unsafe.SliceData(was.data) {
					step += len(g.data)
				}
				step += len(g.refs) * int(unsafe.Sizeof(eventRef{}))
			}
			work += step
			worst = max(worst, step)
		}
		if limit := 4 * events * (eventSize + 8); work > limit {
			t.Errorf("%d events: %d bytes written, cleared and moved; at most %d allowed", events, work, limit)
		}
		if worst > 2*maxChunkBytes {
			t.Errorf("%d events: one append worked on %d bytes, more than a chunk and its table", events, worst)
		}
	}
}

// The table of a tail is guessed from the mean size; a wrong guess is mended
// without moving data, and a large event has a chunk of its own.
func TestAppender_SizesThatMisleadTheGuess(t *testing.T) {
	var a appender
	var want [][]byte
	add := func(size int) {
		ev := rawEvent(size)
		a.add(ev)
		want = append(want, ev.JSON)
	}
	for range 300 {
		add(3000)
	}
	for range 3000 {
		add(10)
	}
	add(event.MaxBytes)
	if g := a.tail; len(g.data) > event.MaxBytes+8 {
		t.Errorf("an event of %d bytes got a chunk of %d", event.MaxBytes, len(g.data))
	}
	for range 10 {
		add(10)
	}
	snap := &snapshot{chunks: a.chunks, count: a.count, bytes: a.bytes}
	checkSnapshot(t, snap, len(want))
	if !bytes.Equal(slice(snap, 0, snap.count), bytes.Join(want, []byte{','})) {
		t.Fatal("the events differ from what was added")
	}
}

// span returns the events [i, j) as they stand, commas between them.
func (g *segment) span(i, j int) []byte {
	end := g.refs[j-1].end
	return g.data[g.start(i):end:end]
}
