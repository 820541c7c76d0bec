package cow_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/journaltest"
)

// bare is an event without an id that stands at a position.
func bare(pos uint64) string {
	return fmt.Sprintf(`{"n":%d,"p":"%s"}`, pos, strings.Repeat("x", int(pos*7919%300)))
}

func bares(from, to uint64) string {
	var list []string
	for pos := from; pos < to; pos++ {
		list = append(list, bare(pos))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func positionFrame(pos uint64, event string) string {
	return wrap(fmt.Sprintf("id: %d\ndata: %s\n\n", pos, event))
}

func text(t testing.TB, w *cow.Window) string {
	t.Helper()
	var b strings.Builder
	if n, err := w.WriteTo(&b); err != nil || int(n) != b.Len() {
		t.Fatalf("a window of %d bytes wrote %d (%v)", w.Len(), b.Len(), err)
	}
	return b.String()
}

// Every way to begin, on a slot in memory and on one that is not.
func TestWindow_Positions(t *testing.T) {
	const n = 2000
	f := open(t, cow.Options{PageBytes: 30 << 10})
	slot, none := f.slot(), f.slot()
	for pos := range uint64(n) {
		f.must(slot, bare(pos))
	}
	for _, cold := range []bool{false, true} {
		for k, row := range []struct {
			start cow.Start
			limit int
			from  uint64 // where the page begins
			most  int
		}{
			{cow.Oldest(), 5, 0, 5}, {cow.Newest(), 5, n, 0}, {cow.After(nil), 5, 0, 5}, {cow.After([]byte("unknown")), 5, 0, 5},
			{cow.From(0), 3, 0, 3}, {cow.From(7), 3, 7, 3}, {cow.From(n - 1), 3, n - 1, 1}, {cow.From(n), 3, n, 0}, {cow.From(n + 1), 3, n, 0},
			{cow.From(math.MaxUint64), 3, n, 0}, {cow.From(5), 0, 5, 0}, {cow.From(5), -1, 5, 0}, {cow.From(n + 5), 0, n, 0},
			{cow.Last(1), 9, n - 1, 1}, {cow.Last(10), 10, n - 10, 10}, {cow.Last(10), 4, n - 10, 4}, {cow.Last(n), 2, 0, 2}, {cow.Last(n + 1), 2, 0, 2},
			{cow.Last(0), 9, n, 0}, {cow.Last(-1), 9, n, 0}, {cow.Last(10), 0, n - 10, 0}, {cow.From(900), 1000, 900, 1000}, {cow.Last(1000), 1000, n - 1000, 1000},
		} {
			if cold {
				f.Cool(slot)
			}
			var w cow.Window
			if err := f.Window(slot, row.start, row.limit, &w); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("cold %v, %+v, limit %d", cold, row.start, row.limit)
			page := uint64(w.Events())
			if w.End() != n || w.Next() != row.from+page {
				t.Errorf("%s: next %d, end %d of a page of %d; want to begin at %d of %d", name, w.Next(), w.End(), page, row.from, n)
			}
			whole := w.Events() == row.most || w.Events() > 0 && w.Len()+2+300 > 30<<10
			if got := text(t, &w); !whole || w.Len() > 30<<10 || got != bares(row.from, row.from+page) {
				t.Errorf("%s: %d events of %d: %.100s", name, page, row.most, got)
			}
			if byID := k == 3; cold && slot.Hot() && row.limit < 100 && !byID {
				t.Errorf("%s: the slot was loaded", name)
			}
			if err := f.Window(none, row.start, row.limit, &w); err != nil || w.Next() != 0 || w.End() != 0 || text(t, &w) != "[]" {
				t.Errorf("%s: of an empty slot: next %d, end %d (%v)", name, w.Next(), w.End(), err)
			}
		}
	}
	f.Remove(slot)
	for _, start := range []cow.Start{cow.From(0), cow.From(n), cow.Last(3), cow.Newest()} {
		var w cow.Window
		if err := f.Window(slot, start, 3, &w); !errors.Is(err, cow.ErrNoSlot) || w.Next() != 0 {
			t.Errorf("of a removed slot: %v, next %d", err, w.Next())
		}
	}
}

// A reader that asks for what comes next, page by page, while others post and
// memory comes and goes, gets every event once.
func TestWindow_I2_FromNextMissesNothing(t *testing.T) {
	f := open(t, cow.Options{PageBytes: 20 << 10})
	slot := f.slot()
	n := uint64(6000)
	if testing.Short() {
		n = 2000 // each load takes the whole slot, so the time goes with the square
	}
	var done atomic.Bool
	var tasks []func()
	tasks = append(tasks, func() {
		for pos := range n {
			f.must(slot, bare(pos))
		}
		done.Store(true)
	})
	for k := range 3 {
		tasks = append(tasks, func() {
			start, next := cow.From(n*2), uint64(0) // behind the end: the answer says where that is
			if k > 0 {
				start = cow.From(0)
			}
			for first := true; next < n; first = false {
				if k == 2 && next%3 == 0 {
					f.Cool(slot)
				}
				var w cow.Window
				if err := f.Window(slot, start, 1+int(next%50), &w); err != nil {
					t.Error(err)
					return
				}
				if first && k == 0 {
					next = w.Next()
				}
				if got, want := text(t, &w), bares(next, next+uint64(w.Events())); got != want {
					t.Errorf("I2: at %d: %.100s, want %.100s", next, got, want)
					return
				}
				next += uint64(w.Events())
				if w.Next() != next || w.End() < next || done.Load() && w.End() == n && w.Events() == 0 && next < n {
					t.Errorf("at %d: next %d, end %d", next, w.Next(), w.End())
					return
				}
				start = cow.From(w.Next())
			}
		})
	}
	all(tasks...)
}

// meteredJournal counts the bytes of events that loads are given.
type meteredJournal struct {
	cow.Journal
	bytes atomic.Int64
}

func (j *meteredJournal) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	return j.Journal.Load(slot, from, func(a *cow.Append) error {
		for _, ev := range a.Events {
			j.bytes.Add(int64(len(ev.JSON)))
		}
		return yield(a)
	})
}

// The newest events of a full slot that is not in memory cost what they take, not
// what the slot takes: for a page, and for a stream.
func TestPositions_LastOfAColdFullSlot(t *testing.T) {
	m := journaltest.NewMemory()
	j := &meteredJournal{Journal: m}
	s, err := cow.Open(j, m, cow.Options{MemoryBudget: 256 << 20, StallAfter: time.Minute, QueueTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{TB: t, Store: s, m: m}
	t.Cleanup(f.close)
	slot := f.slot()
	pad := strings.Repeat("x", 4060)
	event := func(i int) string { return fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, pad) }
	n := 0
	for {
		if _, err := f.post(slot, event(n)); errors.Is(err, cow.ErrSlotFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if slot.Bytes() < 63<<20 {
		t.Fatalf("the slot holds %d bytes", slot.Bytes())
	}
	const oneChunk = 256 << 10
	f.Cool(slot)
	j.bytes.Store(0)
	var w cow.Window
	if err := f.Window(slot, cow.Last(10), 10, &w); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := n - 10; i < n; i++ {
		want = append(want, event(i))
	}
	if got := text(t, &w); got != "["+strings.Join(want, ",")+"]" || w.Next() != uint64(n) {
		t.Errorf("%d events, next %d of %d", w.Events(), w.Next(), n)
	}
	t.Logf("a page of the last 10 of %d events read %d bytes of %d", n, j.bytes.Load(), slot.Bytes())
	if got := j.bytes.Load(); got > oneChunk || slot.Hot() {
		t.Errorf("a page of 10 events read %d bytes, or loaded the slot (%v)", got, slot.Hot())
	}
	j.bytes.Store(0)
	st, err := f.subscribeAt(slot, cow.Last(10), frame.Positions)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	frames := ""
	for i, e := range want {
		frames += positionFrame(uint64(n-10+i), e)
	}
	if got := st.take(t, len(frames)); got != frames {
		t.Error("I6: the stream differs")
	}
	if got := j.bytes.Load(); got > oneChunk || slot.Hot() {
		t.Errorf("a stream of 10 events read %d bytes, or loaded the slot (%v)", got, slot.Hot())
	}
	// Up to date, it costs nothing at all.
	j.bytes.Store(0)
	if err := f.Window(slot, cow.From(w.Next()), 10, &w); err != nil || w.Events() != 0 || w.Next() != uint64(n) {
		t.Errorf("%d events, next %d (%v)", w.Events(), w.Next(), err)
	}
	if got := j.bytes.Load(); got != 0 || slot.Hot() {
		t.Errorf("an empty page read %d bytes", got)
	}
}

// A page of a cold slot that its client takes late, while the slot becomes hot and
// grows, and is removed at last.
func TestWindow_I1_PartOfAColdSlot(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	const n = 6000
	for pos := range uint64(n) {
		f.must(slot, bare(pos))
	}
	f.Cool(slot)
	var early, late, cut cow.Window
	for _, w := range []*cow.Window{&early, &late, &cut} {
		if err := f.Window(slot, cow.Last(900), 900, w); err != nil || slot.Hot() {
			t.Fatalf("%v, hot %v", err, slot.Hot())
		}
	}
	if got := text(t, &early); got != bares(n-900, n) {
		t.Error("the page differs")
	}
	f.must(slot, bare(n)) // loads the slot
	if got := text(t, &late); got != bares(n-900, n) {
		t.Error("I1: the page differs when the slot has grown")
	}
	f.Remove(slot)
	var b strings.Builder
	if _, err := cut.WriteTo(&b); !errors.Is(err, cow.ErrNoSlot) {
		t.Errorf("of a removed slot: %v", err)
	}
}

// Streams of cold slots are read part by part, in writes of any size, and go on when
// the slot becomes hot in between.
func TestSubscriber_I6_PartsOfAColdSlot(t *testing.T) {
	f := open(t, cow.Options{})
	const n = 9000
	slot := f.slot()
	for pos := range uint64(n) {
		f.must(slot, bare(pos))
	}
	var want strings.Builder
	const first = n - 2100
	for pos := uint64(first); pos < n+50; pos++ {
		want.WriteString(positionFrame(pos, bare(pos)))
	}
	small := 777
	if testing.Short() {
		small = 5_555 // as odd, in fewer steps
	}
	for _, size := range []int{1 << 20, 50_000, small} {
		for _, grows := range []bool{false, true} {
			f.Cool(slot)
			st, err := f.subscribeAt(slot, cow.From(first), frame.Positions)
			if err != nil {
				t.Fatal(err)
			}
			have := slot.Count()
			var got strings.Builder
			for step := 0; st.Behind() > 0; step++ {
				if grows && step == 7 && have < n+50 {
					for pos := have; pos < have+25; pos++ {
						f.must(slot, bare(pos))
					}
				}
				if grows && step%5 == 4 {
					f.Cool(slot)
				}
				data, err := st.piece()
				if err != nil || len(data) == 0 {
					t.Fatalf("nothing after %d bytes (%v)", got.Len(), err)
				}
				data = data[:min(size, len(data))]
				got.Write(data)
				st.Wrote(len(data))
			}
			if !grows && slot.Hot() {
				t.Error("the slot was loaded")
			}
			if text := got.String(); !strings.HasPrefix(want.String(), text) || len(text) < want.Len()*97/100 {
				t.Fatalf("I6: writes of %d, grows %v: %d bytes of %d, or they differ", size, grows, len(text), want.Len())
			}
			st.Close()
		}
	}
}

// What the readers of a slot share is encoded once for each kind that has readers,
// and goes with the last of its kind.
func TestFrames_OncePerKindThatIsRead(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	subscribe := func(ids frame.IDs) *stream {
		st, err := f.subscribeAt(slot, cow.Newest(), ids)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	next := uint64(0)
	encodings := func(what string, want uint64) (bytes int64) {
		t.Helper()
		before := f.Stats().FramesEncoded.Load()
		for range 10 {
			f.must(slot, payload(slot.ID(), next))
			next++
		}
		if got := f.Stats().FramesEncoded.Load() - before; got != 10*want {
			t.Errorf("%s: %d encodings of 10 events, want %d", what, got, 10*want)
		}
		return f.Memory().Frames
	}
	poll := subscribe(frame.Unread)
	if n := encodings("a reader of no frames", 0); n != 0 {
		t.Errorf("%d bytes of frames for nobody", n)
	}
	<-poll.bell // it is woken all the same
	a, b := subscribe(frame.EventIDs), subscribe(frame.EventIDs)
	one := encodings("one kind", 1)
	c := subscribe(frame.Positions)
	two := encodings("two kinds", 2)
	if one == 0 || two <= one*3/2 {
		t.Errorf("%d bytes of one kind, %d of two", one, two)
	}
	want, numbered := "", ""
	for pos := next - 20; pos < next; pos++ {
		want += payloadFrame(slot.ID(), pos)
		if pos >= next-10 {
			numbered += positionFrame(pos, payload(slot.ID(), pos))
		}
	}
	if a.take(t, len(want)) != want || c.take(t, len(numbered)) != numbered {
		t.Error("I6: a stream differs")
	}
	if n := f.Stats().FramesReplayed.Load(); n != 0 {
		t.Errorf("%d frames were encoded for one reader", n)
	}
	a.Close()
	still := encodings("two kinds still", 2)
	if still <= two {
		t.Error("frames were dropped that somebody reads")
	}
	b.Close() // the last of its kind
	if n := f.Memory().Frames; n == 0 || n > still*3/4 {
		t.Errorf("%d bytes of frames with one kind left, %d with two", n, still)
	}
	encodings("the other kind", 1)
	c.Close()
	if slot.HasFrames() || f.Memory().Frames != 0 {
		t.Errorf("%d bytes of frames stay", f.Memory().Frames)
	}
	encodings("nobody reads frames", 0)
	poll.Close()
	if slot.HasSet() {
		t.Error("a set stays")
	}
}
