package cow_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
)

// arena is a few slots with one writer each, so that what stands at a position
// is known: payload(slot, position).
type arena struct {
	*fixture
	slots  []arenaSlot
	stop   atomic.Bool
	failed atomic.Bool

	windows, events, pieces, posts, removed, busy atomic.Int64
}

type arenaSlot struct {
	mu    sync.Mutex
	slot  *cow.Slot
	acked *atomic.Uint64 // events of slot that were acknowledged
}

func (a *arena) at(i int) (*cow.Slot, uint64) {
	s := &a.slots[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slot, s.acked.Load()
}

func (a *arena) fail(format string, args ...any) {
	if !a.failed.Swap(true) {
		a.Errorf(format, args...)
	}
	a.stop.Store(true)
}

func (a *arena) loop(f func(r *rand.Rand)) func() {
	seed := rand.Uint64()
	return func() {
		r := rand.New(rand.NewPCG(seed, 0))
		for !a.stop.Load() {
			f(r)
		}
	}
}

// Everything at once on a budget that holds a small part of the slots: each
// page and each stream is exactly f(slot, position) from where it must begin,
// without a gap, at least as long as what was acknowledged before.
func TestStore_I1I2I3I6_HammerWithEvictions(t *testing.T) {
	d := 1800 * time.Millisecond
	if testing.Short() {
		d = time.Second
	}
	a := &arena{fixture: open(t, cow.Options{
		MemoryBudget: 3 << 20, PageBytes: 48 << 10, LoadPatience: 20 * time.Second, TouchInterval: 5 * time.Millisecond,
	})}
	a.slots = make([]arenaSlot, 10)
	for i := range a.slots {
		a.slots[i].slot, a.slots[i].acked = a.slot(), new(atomic.Uint64)
	}
	var tasks []func()
	for i := range a.slots {
		tasks = append(tasks, a.loop(func(r *rand.Rand) { a.write(i, r) }))
	}
	for range 3 {
		tasks = append(tasks, a.loop(a.pull))
	}
	for range 6 {
		tasks = append(tasks, a.loop(a.stream))
	}
	tasks = append(tasks, a.loop(a.evict), a.loop(a.remove), func() {
		time.Sleep(d)
		a.stop.Store(true)
	})
	all(tasks...)
	t.Logf("%d windows of %d events, %d pieces of streams, %d posts, %d slots removed, %d times busy",
		a.windows.Load(), a.events.Load(), a.pieces.Load(), a.posts.Load(), a.removed.Load(), a.busy.Load())
	m := a.Memory()
	t.Logf("%d chunks and %d slots evicted, %d loads of slots, %d of chunks; %d bytes used of %d", m.EvictedChunks, m.EvictedSlots,
		a.Stats().SlotLoads.Load(), a.Stats().ChunkLoads.Load(), m.Used, m.Limit)
	if a.Stats().LoadErrors.Load() != 0 {
		t.Errorf("%d loads failed", a.Stats().LoadErrors.Load())
	}
	if m.EvictedChunks == 0 || m.EvictedSlots == 0 || a.windows.Load() == 0 || a.pieces.Load() == 0 || a.removed.Load() == 0 {
		t.Errorf("a part of the hammer did not run")
	}
	// Nothing acknowledged is missing, and nothing is left behind.
	events := int64(0)
	for i := range a.slots {
		slot, acked := a.at(i)
		if slot.Count() < acked {
			t.Errorf("I3: slot %d counts %d events of %d acknowledged", i, slot.Count(), acked)
		}
		if slot.HasSet() {
			t.Errorf("slot %d has a set of subscribers left", i)
		}
		events += int64(slot.Count())
	}
	if got := a.Stats().Events.Load(); got != events {
		t.Errorf("the store counts %d events of %d", got, events)
	}
	if n := a.Stats().Subscribers.Load(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

// goneSoon says whether err is that of a removed slot. Who reads the journal
// may learn of a removal a moment before the slot is marked.
func goneSoon(slot *cow.Slot, err error) bool {
	if !errors.Is(err, cow.ErrNoSlot) {
		return false
	}
	for i := 0; i < 1000 && !slot.Gone(); i++ {
		time.Sleep(time.Millisecond)
	}
	return slot.Gone()
}

func (a *arena) write(i int, r *rand.Rand) {
	slot, pos := a.at(i)
	dup, err := a.post(slot, payload(slot.ID(), pos))
	switch {
	case err == nil && !dup:
		a.posts.Add(1)
		a.slots[i].mu.Lock()
		if a.slots[i].slot == slot {
			a.slots[i].acked.Store(pos + 1)
		}
		a.slots[i].mu.Unlock()
	case goneSoon(slot, err):
		time.Sleep(time.Millisecond) // its remover puts another there
	case errors.Is(err, cow.ErrBusy):
		a.busy.Add(1)
	default:
		a.fail("post at %d: duplicate %v, error %v", pos, dup, err)
	}
	if r.IntN(50) == 0 {
		time.Sleep(time.Millisecond)
	}
}

func (a *arena) pull(r *rand.Rand) {
	slot, acked := a.at(r.IntN(len(a.slots)))
	since, start := "", uint64(0)
	switch {
	case r.IntN(8) == 0:
		since = "unknown"
	case acked > 0 && r.IntN(4) > 0:
		start = r.Uint64N(acked) + 1
		if r.IntN(3) == 0 {
			start = acked
		}
		since = payloadID(slot.ID(), start-1)
	}
	limit := r.IntN(200)
	from := cow.After([]byte(since))
	if start > 0 && r.IntN(2) == 0 {
		from = cow.From(start)
	}
	var w cow.Window
	err := a.Window(slot, from, limit, &w)
	switch {
	case goneSoon(slot, err):
		return
	case errors.Is(err, cow.ErrBusy):
		a.busy.Add(1)
		return
	case err != nil:
		a.fail("window since %q: %v", since, err)
		return
	}
	slot.MarkPulled(time.Now())
	if r.IntN(20) == 0 {
		time.Sleep(2 * time.Millisecond) // a slow client: eviction goes on under it
	}
	var b strings.Builder
	if _, err = w.WriteTo(&b); errors.Is(err, cow.ErrBusy) {
		a.busy.Add(1)
	} else if err != nil && !goneSoon(slot, err) {
		a.fail("window since %q: %v", since, err)
		return
	}
	n := uint64(w.Events())
	if n > uint64(limit) || n == 0 && limit > 0 && acked > start {
		a.fail("window since %q, limit %d: %d events, %d were acknowledged", since, limit, n, acked)
		return
	}
	if w.Next() != start+n || w.End() < w.Next() || w.End() < acked {
		a.fail("window of %d events from %d: next %d, end %d, %d were acknowledged", n, start, w.Next(), w.End(), acked)
		return
	}
	a.windows.Add(1)
	a.events.Add(int64(n))
	want := make([]string, n)
	for k := range want {
		want[k] = payload(slot.ID(), start+uint64(k))
	}
	whole := "[" + strings.Join(want, ",") + "]"
	if err != nil { // cut
		whole = whole[:min(b.Len(), len(whole)-1)]
	} else if b.Len() != w.Len() {
		a.fail("window since %q, limit %d: %d bytes of %d", since, limit, b.Len(), w.Len())
	}
	if got := b.String(); got != whole {
		a.fail("I1, I2: window since %q, limit %d: not the events [%d, %d): %.200s", since, limit, start, start+n, got)
	}
}

// stream joins a slot, reads for a while in pieces, some of them partly
// written, and leaves.
func (a *arena) stream(r *rand.Rand) {
	slot, acked := a.at(r.IntN(len(a.slots)))
	resume, since, next := r.IntN(2) == 0, "", uint64(0)
	if resume && acked > 0 {
		next = r.Uint64N(acked) + 1
		since = payloadID(slot.ID(), next-1)
	}
	start, ids := cow.Newest(), frame.IDs(r.IntN(int(frame.Kinds)))
	switch {
	case resume && r.IntN(2) == 0:
		start = cow.From(next)
	case resume:
		start = cow.After([]byte(since))
	}
	st, err := a.subscribeAt(slot, start, ids)
	if err != nil {
		if !goneSoon(slot, err) && !errors.Is(err, cow.ErrBusy) {
			a.fail("subscribe since %q: %v", since, err)
		}
		return
	}
	defer st.Close()
	known := resume
	tail := "" // of a frame that is not whole yet
	for range r.IntN(30) {
		data, err := st.piece()
		if err != nil {
			if !goneSoon(slot, err) {
				a.fail("stream at %d: %v", next, err)
			}
			return
		}
		if data == nil {
			select {
			case <-st.bell:
			case <-time.After(5 * time.Millisecond):
			}
			continue
		}
		n := len(data)
		if r.IntN(3) == 0 {
			n = 1 + r.IntN(n)
		}
		tail += string(data[:n])
		st.Wrote(n)
		a.pieces.Add(1)
		for {
			text, rest, whole := strings.Cut(tail, "\n\n\r\n")
			if !whole {
				break
			}
			tail = rest
			if !known {
				next, known = framePosition(text), true
				if next < acked {
					a.fail("I6: a stream of new events began at %d, behind the head %d", next, acked)
					return
				}
			}
			want := payloadFrame(slot.ID(), next)
			if ids == frame.Positions {
				want = positionFrame(next, payload(slot.ID(), next))
			}
			if text+"\n\n\r\n" != want {
				a.fail("I6: frame %.100q where position %d comes next", text, next)
				return
			}
			next++
		}
	}
}

func framePosition(frame string) uint64 {
	var e struct{ N uint64 }
	_, data, _ := strings.Cut(frame, "data: ")
	json.Unmarshal([]byte(data), &e)
	return e.N
}

func (a *arena) evict(r *rand.Rand) {
	slot, _ := a.at(r.IntN(len(a.slots)))
	switch r.IntN(4) {
	case 0:
		a.Cool(slot)
	case 1:
		a.DropFrames(slot)
	default:
		a.EvictChunks(slot)
	}
	time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond)
}

func (a *arena) remove(r *rand.Rand) {
	time.Sleep(time.Duration(20+r.IntN(60)) * time.Millisecond)
	i := r.IntN(len(a.slots))
	old, _ := a.at(i)
	id, _, _, err := a.Allocate()
	if err != nil {
		a.fail("allocate: %v", err)
		return
	}
	if err := a.Remove(old); err != nil {
		if !errors.Is(err, cow.ErrBusy) {
			a.fail("remove: %v", err)
		}
		return
	}
	a.removed.Add(1)
	a.slots[i].mu.Lock()
	a.slots[i].slot, a.slots[i].acked = a.Slot(id), new(atomic.Uint64)
	a.slots[i].mu.Unlock()
}
