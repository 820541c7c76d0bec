//go:build !race && !invariants

package cow_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// hollow is a journal that stores everything and keeps nothing, so that the
// heap shows the slots alone.
type hollow struct {
	version uint64
	cold    int // slots that it says to hold
}

func (j *hollow) Commit(groups []cow.Group) {
	for i := range groups {
		j.version++
		groups[i].Outcome, groups[i].NewVersion = cow.Stored, j.version
	}
}

func (j *hollow) Slots(yield func(cow.SlotRecord) error) error {
	for i := range j.cold {
		r := cow.SlotRecord{Version: 1, Count: 10, Bytes: 3000}
		binary.LittleEndian.PutUint64(r.Slot[:], uint64(i)*0x9e3779b97f4a7c15)
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

func (j *hollow) Load(cow.ID, uint64, func(*cow.Append) error) error { return cow.ErrNoSlot }
func (j *hollow) Feed(func(*cow.Append))                             {}
func (j *hollow) Totals() cow.Totals                                 { return cow.Totals{} }
func (j *hollow) Close() error                                       { return nil }

func openHollow(t testing.TB, j *hollow) *cow.Store {
	t.Helper()
	s, err := cow.Open(j, journaltest.NewMemory(), cow.Options{Logger: slog.New(slog.DiscardHandler), MemoryBudget: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func heapAlloc() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemory_ColdSlotAtMost300Bytes(t *testing.T) {
	// 65,537 is where a map that doubles is emptiest.
	for _, slots := range []int{65_537, 100_000, 200_000} {
		before := heapAlloc()
		s := openHollow(t, &hollow{cold: slots})
		each := float64(heapAlloc()-before) / float64(slots)
		t.Logf("%d cold slots: %.0f bytes each, the map included", slots, each)
		if each > 300 {
			t.Errorf("%d cold slots take %.0f bytes each", slots, each)
		}
		runtime.KeepAlive(s)
	}
}

func TestMemory_EmptySlotAtMost300Bytes(t *testing.T) {
	const slots = 100_000
	before := heapAlloc()
	s := openHollow(t, &hollow{})
	for range slots {
		if _, _, _, err := s.Allocate(); err != nil {
			t.Fatal(err)
		}
	}
	each := float64(heapAlloc()-before) / slots
	t.Logf("%d empty slots: %.0f bytes each, the map included", slots, each)
	if each > 300 {
		t.Errorf("an empty slot takes %.0f bytes", each)
	}
	runtime.KeepAlive(s)
}

func TestMemory_HotSlotOfOneEventAtMost1KB(t *testing.T) {
	const slots = 20_000
	before := heapAlloc()
	s := openHollow(t, &hollow{})
	for i := range slots {
		id, _, _, err := s.Allocate()
		if err != nil {
			t.Fatal(err)
		}
		p := s.NewPost()
		event := fmt.Sprintf(`{"event_id":"event-%08d","pad":"`, i)
		event += strings.Repeat("x", 298-len(event)) + `"}`
		if err := p.Accept([]byte(`{"event":` + event + `}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Commit(s.Slot(id)); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	each := float64(heapAlloc()-before) / slots
	counted := float64(s.Memory().Used) / slots
	t.Logf("%d hot slots with an event of 300 bytes: %.0f bytes each, the map included; the budget counts %.0f", slots, each, counted)
	if each > 1024 {
		t.Errorf("a hot slot with one event of 300 bytes takes %.0f bytes", each)
	}
	// The budget leaves out the cold part and the rounding of the allocator;
	// what it counts must not be far off.
	if counted < each/2 || counted > each {
		t.Errorf("the budget counts %.0f bytes of %.0f", counted, each)
	}
	runtime.KeepAlive(s)
}
