package cow_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// I1, I2, I6: while a slot is posted to, trimmed and taken out of memory, every window is
// whole and without a gap, a stream gives each event once and in order, and neither leaves
// out an event that is there.
func TestTrim_ReadersBeside(t *testing.T) {
	f := open(t, cow.Options{PageBytes: 64 << 10})
	slot := f.slot()
	const keep = 300
	events := 4000
	if testing.Short() {
		events = 1500 // the plain run takes more
	}
	event := func(n int) string { return fmt.Sprintf(`{"n":%d,"event_id":"e%d"}`, n, n) }
	var first atomic.Uint64 // below it all may have left
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		for n := range events {
			if _, err := f.post(slot, event(n)); err != nil {
				t.Errorf("post %d: %v", n, err)
				return
			}
			if n%7 == 6 && n > keep {
				first.Store(uint64(n - keep))
				if _, _, err := f.Trim(slot, uint64(n-keep)); err != nil {
					t.Errorf("trim to %d: %v", n-keep, err)
				}
			}
			if n%50 == 49 {
				f.Cool(slot)
			}
		}
	})
	for r := range 3 {
		wg.Go(func() {
			var w cow.Window
			for at, over := uint64(0), false; !over; {
				over = done.Load()
				start := cow.From(at)
				if r == 1 && at > 0 {
					start = cow.After(fmt.Appendf(nil, "e%d", at-1))
				}
				if err := f.Window(slot, start, 100, &w); err != nil {
					t.Errorf("a window from %d: %v", at, err)
					return
				}
				begins := w.Next() - uint64(w.Events())
				oldest, trimmed := w.Trimmed()
				if begins > at && (!trimmed || oldest != begins) || begins < at && r != 1 {
					t.Errorf("a window from %d begins at %d, trimmed %v, oldest %d", at, begins, trimmed, oldest)
				}
				var want, got bytes.Buffer
				for n := begins; n < w.Next(); n++ {
					fmt.Fprintf(&want, ",%s", event(int(n)))
				}
				if _, err := w.WriteTo(&got); errors.Is(err, cow.ErrTrimmed) {
					continue // cut: the client asks again
				} else if err != nil {
					t.Errorf("writing a window: %v", err)
				}
				if g := got.String(); g[1:len(g)-1] != string(bytes.TrimPrefix(want.Bytes(), []byte(","))) {
					t.Errorf("a window from %d:\n%.200s\nwant\n%.200s", begins, g, want.String())
				}
				at = w.Next()
			}
		})
	}
	wg.Go(func() {
		sub, err := f.Subscribe(slot, cow.Oldest(), frame.Positions, deaf{})
		if err != nil {
			t.Error(err)
			return
		}
		defer sub.Close()
		sub.Plain()
		buf, next := make([]byte, frame.MaxPiece), -1
		for over := false; ; {
			low := first.Load()
			data, err := sub.Next(buf)
			switch {
			case errors.Is(err, cow.ErrNotResident):
				if err := sub.Load(); err != nil {
					t.Errorf("a stream can't load: %v", err)
					return
				}
				continue
			case err != nil:
				t.Errorf("a stream: %v", err)
				return
			case data == nil && over:
				if next != events {
					t.Errorf("a stream ended before %d of %d", next, events)
				}
				return
			case data == nil:
				over = done.Load()
				continue
			}
			for _, fr := range bytes.SplitAfter(data, []byte("\n\n")) {
				var n int
				if len(fr) == 0 {
					continue
				}
				if _, err := fmt.Sscanf(string(fr), "id: %d\n", &n); err != nil || string(fr) != fmt.Sprintf("id: %d\ndata: %s\n\n", n, event(n)) {
					t.Errorf("frame %q", fr)
				}
				if n < next || n > next && uint64(n) > max(low, first.Load()) && next >= 0 {
					t.Errorf("behind position %d comes %d, and at most those below %d have left", next-1, n, first.Load())
				}
				next = n + 1
			}
			sub.Wrote(len(data))
		}
	})
	wg.Wait()
	if n := slot.Count(); n > keep+20 {
		t.Errorf("the slot has %d events", n)
	}
	if m := f.Stats(); m.Events.Load() != int64(slot.Count()) || m.Bytes.Load() != int64(slot.Bytes()) {
		t.Errorf("%d events of %d bytes are counted, the slot has %d of %d", m.Events.Load(), m.Bytes.Load(), slot.Count(), slot.Bytes())
	}
}

// A full slot takes events again when some have left. What left is no duplicate any more,
// and memory is given back.
func TestTrim_MakesRoom(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	big := string(bytes.Repeat([]byte("x"), 200_000))
	post := func(n int) (bool, error) { return f.post(slot, fmt.Sprintf(`{"event_id":"e%d","pad":%q}`, n, big)) }
	n := 0
	for ; ; n++ {
		if _, err := post(n); errors.Is(err, cow.ErrSlotFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	before := f.Memory().Chunks
	if _, _, err := f.Trim(slot, uint64(n-2)); err != nil {
		t.Fatal(err)
	}
	if after := f.Memory().Chunks; after > before/10 {
		t.Errorf("chunks take %d bytes, and took %d before all but two events left", after, before)
	}
	if dup, err := post(n - 1); !dup || err != nil {
		t.Errorf("an event that is there: duplicate %v, %v", dup, err)
	}
	if dup, err := post(0); dup || err != nil {
		t.Errorf("an event that has left: duplicate %v, %v", dup, err)
	}
	if first, end := slot.Positions(); first != uint64(n-2) || end != uint64(n+1) {
		t.Errorf("positions %d to %d, want %d to %d", first, end, n-2, n+1)
	}
}

type deaf struct{}

func (deaf) Wake(int64) {}
