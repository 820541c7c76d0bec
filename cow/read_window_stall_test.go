package cow_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cow"
)

// taker reads a window as a connection does, some bytes at a time.
type taker struct {
	cow.Window
	got strings.Builder
}

// take takes at most n bytes, and loads what it must.
func (k *taker) take(n int) error {
	for n > 0 && k.Left() > 0 {
		parts := k.Parts(nil)
		if len(parts) == 0 {
			if err := k.Load(); err != nil {
				return err
			}
			continue
		}
		wrote := 0
		for _, p := range parts {
			p = p[:min(len(p), n)]
			k.got.Write(p)
			n, wrote = n-len(p), wrote+len(p)
		}
		k.Wrote(wrote)
	}
	return nil
}

// collected waits until nothing that left memory is held by anybody.
func (f *fixture) collected(when string) {
	f.Helper()
	for end := time.Now().Add(30 * time.Second); f.Memory().Retired > 0; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(end) {
			f.Fatalf("%s: %d bytes that left memory are held", when, f.Memory().Retired)
		}
	}
}

// Pages that are not taken hold nothing in memory, whatever has been written of
// them and whether the slot lost chunks or went cold; and they go on from where
// they were, byte for byte.
func TestWindow_StalledReadersHoldNothing(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 1500)
	want := array(payloads(slot.ID(), 0, 1500))
	r := rand.New(rand.NewPCG(1, 1))
	for _, leave := range []func(){func() { f.EvictChunks(slot) }, func() { f.Cool(slot) }} {
		takers := make([]*taker, 40)
		for i := range takers {
			takers[i] = new(taker)
			if err := f.Window(slot, cow.Oldest(), 1500, &takers[i].Window); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 4 {
			for _, k := range takers {
				if err := k.take(r.IntN(80_000)); err != nil {
					t.Fatal(err)
				}
			}
			leave()
			f.collected(fmt.Sprintf("round %d", round))
		}
		for _, k := range takers {
			if err := k.take(1 << 30); err != nil {
				t.Fatal(err)
			}
			if k.got.String() != want || k.Left() != 0 {
				t.Fatalf("a page that stalled has %d bytes of %d, or others", k.got.Len(), len(want))
			}
		}
	}
}

// A stream that is behind and does not take what was loaded for it holds none of
// it either.
func TestSubscriber_StalledReaderHoldsNothing(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 1500)
	f.EvictChunks(slot)
	st := f.subscribe(slot, true, "")
	defer st.Close()
	total := 0
	for range 5 {
		data, err := st.piece() // which loads
		if err != nil || len(data) == 0 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		st.Wrote(100)
		total += 100
		f.EvictChunks(slot)
		f.collected("after a part of a piece")
	}
	var want strings.Builder
	for pos := range uint64(1500) {
		want.WriteString(payloadFrame(slot.ID(), pos))
	}
	if got := st.take(t, want.Len()-total); got != want.String()[total:] {
		t.Fatal("the stream lost its place")
	}
}

// How long a page is, is told by tables, which stay: only its first bytes are
// read ahead of it, whatever has left memory.
func TestWindow_LengthNeedsNoData(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 3000)
	if slot.Chunks() < 6 {
		t.Fatalf("%d chunks", slot.Chunks())
	}
	for from := uint64(0); from < 3000; from += 271 {
		// Some of its chunks are in memory and some are not.
		f.EvictChunks(slot)
		f.page(slot, payloadID(slot.ID(), (from+1500)%2900), 5)
		f.page(slot, payloadID(slot.ID(), from), 1)
		before := f.Stats().ChunkLoads.Load()
		var w cow.Window
		if err := f.Window(slot, cow.After([]byte(payloadID(slot.ID(), from))), 2000, &w); err != nil {
			t.Fatal(err)
		}
		want := array(payloads(slot.ID(), from+1, min(from+2001, 3000)))
		if w.Len() != len(want) {
			t.Fatalf("from %d: a page of %d bytes says %d", from, len(want), w.Len())
		}
		if n := f.Stats().ChunkLoads.Load() - before; n > 0 {
			t.Errorf("from %d: %d chunks were read to tell a length", from, n)
		}
		var b strings.Builder
		if _, err := w.WriteTo(&b); err != nil || b.String() != want {
			t.Fatalf("from %d: other bytes (%v)", from, err)
		}
	}
}

// Pages that are taken in pieces of any length, while the slot grows, loses
// chunks, goes cold and comes back, are what a plain list held when each was
// made.
func TestWindow_I1_TakenInPiecesEqualsModel(t *testing.T) {
	steps := 500
	if testing.Short() {
		steps = 250 // the plain run takes more
	}
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 9))
		f := open(t, cow.Options{PageBytes: 1 << (12 + seed*2)})
		slot := f.slot()
		m := windowModel{most: f.opts.PageBytes}
		type page struct {
			taker
			want string
		}
		var pages []*page
		for step := range steps {
			switch r.IntN(10) {
			case 0, 1, 2:
				id := fmt.Sprint(len(m.events))
				size := r.IntN(900)
				if r.IntN(20) == 0 {
					size = r.IntN(100_000)
				}
				m.post(t, f, slot, fmt.Sprintf(`{"event_id":"%s","p":"%s"}`, id, strings.Repeat("x", size)), id)
			case 3, 4:
				p := new(page)
				since, limit := fmt.Sprint(r.IntN(step+1)), r.IntN(60)
				if err := f.Window(slot, cow.After([]byte(since)), limit, &p.Window); err != nil {
					t.Fatal(err)
				}
				p.want = m.window(since, limit)
				pages = append(pages, p)
			case 5:
				f.EvictChunks(slot)
			case 6:
				f.Cool(slot)
			default:
				if len(pages) == 0 {
					continue
				}
				i := r.IntN(len(pages))
				p := pages[i]
				if p.Len() != len(p.want) {
					t.Fatalf("seed %d: a page of %d bytes says %d", seed, len(p.want), p.Len())
				}
				if err := p.take(1 + r.IntN(1+p.Left())); err != nil {
					t.Fatal(err)
				}
				if p.Left() > 0 {
					continue
				}
				if p.got.String() != p.want {
					t.Fatalf("seed %d: I1: a page that was taken in pieces differs from the model", seed)
				}
				pages = append(pages[:i], pages[i+1:]...)
			}
		}
		f.close()
	}
}

// A load that fails in the middle of a page is an error there, and the next try
// goes on.
func TestWindow_LoadThatFails(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 1500)
	var k taker
	if err := f.Window(slot, cow.Oldest(), 1500, &k.Window); err != nil {
		t.Fatal(err)
	}
	if err := k.take(1000); err != nil {
		t.Fatal(err)
	}
	f.EvictChunks(slot)
	broken := errors.New("bad sector")
	f.m.OnLoad(func(cow.ID, uint64) error { return broken })
	if err := k.take(1 << 30); !errors.Is(err, broken) {
		t.Fatalf("error %v, want the load's", err)
	}
	// Of a page that begins there it is told before the head is sent.
	var w cow.Window
	if err := f.Window(slot, cow.Oldest(), 10, &w); !errors.Is(err, broken) || w.Events() != 0 {
		t.Fatalf("a page that begins with it: error %v, %d events", err, w.Events())
	}
	f.m.OnLoad(nil)
	if err := k.take(1 << 30); err != nil || k.got.String() != array(payloads(slot.ID(), 0, 1500)) {
		t.Fatalf("after it: error %v, %d bytes", err, k.got.Len())
	}
}

// Tables are on the books, and what only they fill leaves memory too: whole
// slots go cold for them.
func TestBudget_TablesAloneMakeSlotsCold(t *testing.T) {
	f := open(t, cow.Options{})
	slots, events := make([]*cow.Slot, 12), 4000
	if testing.Short() {
		events = 1600 // the plain run takes more
	}
	for i := range slots {
		slots[i] = f.slot()
		for n := range events {
			f.must(slots[i], fmt.Sprintf(`{"event_id":"%d"}`, n))
		}
	}
	all := f.Memory().Used
	for _, s := range slots {
		f.EvictChunks(s)
	}
	tables := f.Memory().Used
	if tables < all/4 || tables > all-int64(len(slots)*events)*5 {
		t.Fatalf("%d bytes without data, %d with it", tables, all)
	}
	f.close()
	f.opts.MemoryBudget = tables / 2
	f = openOn(t, f.m.Reopen(), f.opts)
	for range 3 {
		for _, s := range slots {
			f.page(f.Slot(s.ID()), fmt.Sprint(events-10), 5)
		}
	}
	f.until("the budget to be kept", func() bool { m := f.Memory(); return m.Used <= m.Limit })
	if m := f.Memory(); m.EvictedSlots == 0 {
		t.Errorf("no slot went cold: %+v", m)
	}
	f.All(func(s *cow.Slot) bool { f.Cool(s); return true })
	if m := f.Memory(); m.Used != 0 {
		t.Errorf("%d bytes are counted with nothing in memory", m.Used)
	}
}

// shiftedJournal gives events whose ids stand elsewhere.
type shiftedJournal struct {
	cow.Journal
	shifted bool
}

func (j *shiftedJournal) Load(id cow.ID, from uint64, yield func(*cow.Append) error) error {
	return j.Journal.Load(id, from, func(a *cow.Append) error {
		other := *a
		if j.shifted {
			other.Events = slices.Clone(a.Events)
			for i := range other.Events {
				other.Events[i].IDOff++
			}
		}
		return yield(&other)
	})
}

// A chunk that comes back other than its table says is an error: what a page
// promised would not fit it.
func TestReload_OtherThanItsTableIsAnError(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.fill(slot, 0, 300)
	f.close()
	j := &shiftedJournal{Journal: f.m.Reopen()}
	s, err := cow.Open(j, f.m.Reopen(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	slot = s.Slot(slot.ID())
	var k taker
	if err := s.Window(slot, cow.Oldest(), 300, &k.Window); err != nil {
		t.Fatal(err)
	}
	s.EvictChunks(slot)
	j.shifted = true
	if err := k.take(1 << 30); err == nil || k.Left() == 0 {
		t.Fatalf("a chunk with other offsets was taken: error %v, %d bytes left", err, k.Left())
	}
	j.shifted = false
	if err := k.take(1 << 30); err != nil || k.got.String() != array(payloads(slot.ID(), 0, 300)) {
		t.Fatalf("error %v", err)
	}
}
