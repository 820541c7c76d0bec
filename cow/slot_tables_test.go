package cow

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"cowrelay/cow/event"
	"cowrelay/cow/invariants"
)

// tableBytes is what a slot takes beside its event bytes: index, offsets,
// chunk handles.
func tableBytes(h *hot) (n int64) {
	for _, c := range h.chunks {
		g := c.seg.Load()
		n += g.bytes() - int64(len(g.data)) + chunkBytes
	}
	return n + h.index.Bytes()
}

// At any length above 1,000 index and offsets take at most 24 bytes an event,
// whatever the sizes of events. Every length is looked at, as tables are worst
// just after they grew.
func TestTables_AtMost24BytesAnEvent(t *testing.T) {
	shapes := []struct {
		name   string
		events int
		size   func(i int) int
	}{
		{"40 bytes", 1_000_000, func(int) int { return 40 }},
		{"22 bytes", 300_000, func(int) int { return 22 }},
		{"300 bytes", 100_000, func(int) int { return 300 }},
		{"short, then long", 20_000, func(i int) int {
			if i < 900 {
				return 22
			}
			return 900
		}},
		{"long, then short", 50_000, func(i int) int {
			if i < 1000 {
				return 3000
			}
			return 22
		}},
		{"in turn", 30_000, func(i int) int { return 22 + i%10*100 }},
	}
	marks := map[int]bool{1001: true, 2000: true, 5000: true, 10_000: true, 20_000: true, 50_000: true, 100_000: true, 300_000: true, 1_000_000: true}
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			events := shape.events
			if invariants.Enabled {
				events = min(events, 30_000)
			}
			h := new(hot)
			buf := make([]byte, 0, 4096)
			var counted, worst float64
			var worstAt int
			tables := int64(0)
			for i := range events {
				buf = fmt.Appendf(buf[:0], `{"event_id":"%x"}`, i)
				if n := shape.size(i) - len(buf); n > 8 {
					buf = append(buf[:len(buf)-1], `,"p":"`...)
					buf = append(buf, pad[:n-8]...)
					buf = append(buf, `"}`...)
				}
				// The same sums that the budget is told, made exact at marks.
				data := tailBytes(h)
				tables += h.index.Insert(scramble(uint64(i)), uint64(i))
				tables += h.add(event.Event{JSON: buf, IDOff: 12})
				tables -= tailBytes(h) - data
				if marks[i+1] {
					if exact := tableBytes(h); exact != tables {
						t.Fatalf("at %d events the tables take %d bytes and %d are counted", i+1, exact, tables)
					}
					counted = float64(tables) / float64(i+1)
					t.Logf("%7d events: %.1f bytes an event (index %.1f, offsets %.1f)", i+1, counted,
						float64(h.index.Bytes())/float64(i+1), float64(tables-h.index.Bytes())/float64(i+1))
				}
				if each := float64(tables) / float64(i+1); i >= 1000 && each > worst {
					worst, worstAt = each, i+1
				}
			}
			t.Logf("the most: %.2f bytes an event, at %d", worst, worstAt)
			if worst > 24 {
				t.Errorf("%.2f bytes an event at %d events", worst, worstAt)
			}
		})
	}
}

var pad = strings.Repeat("x", 4096)

// tailBytes is the data of all chunks that add could have allocated so far.
func tailBytes(h *hot) int64 {
	// Only the last one can be new, so a running sum is kept beside h.
	if n := len(h.chunks); n > 0 {
		if sum, ok := dataSums[h]; ok && sum.chunks == n {
			return sum.bytes
		} else if ok {
			sum.bytes += int64(len(h.tail.data))
			sum.chunks = n
			return sum.bytes
		}
		dataSums[h] = &dataSum{n, int64(len(h.tail.data))}
		return dataSums[h].bytes
	}
	return 0
}

type dataSum struct {
	chunks int
	bytes  int64
}

var dataSums = map[*hot]*dataSum{}

// The parts of a slot that there are most of. Whoever adds a field here pays
// for it 200,000 times.
func TestSizes(t *testing.T) {
	for _, part := range []struct {
		name      string
		got, want uintptr
	}{
		{"Slot", unsafe.Sizeof(Slot{}), 176},
		{"hot", unsafe.Sizeof(hot{}), 144},
		{"snapshot", unsafe.Sizeof(snapshot{}), 48},
		{"chunk", unsafe.Sizeof(chunk{}), 32},
		{"Subscriber", unsafe.Sizeof(Subscriber{}), 128},
	} {
		if part.got > part.want {
			t.Errorf("%s takes %d bytes, at most %d allowed", part.name, part.got, part.want)
		}
	}
}

// scramble makes hashes that are spread like a seeded hash's.
func scramble(n uint64) uint32 {
	n *= 0x9e3779b97f4a7c15
	n ^= n >> 29
	n *= 0xbf58476d1ce4e5b9
	return uint32(n >> 32)
}
