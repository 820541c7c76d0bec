package pebblelog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

// randomEvent makes an event that compresses as real ones do: half of it is
// text, half hex digits.
func randomEvent(rng *rand.Rand, n, size int) event.Event {
	b := fmt.Appendf(nil, `{"event_id":"%016x%016x","n":%d,"kind":"message","from":"alice@example.org","body":"`, rng.Uint64(), rng.Uint64(), n)
	for len(b) < size-18 {
		b = fmt.Appendf(b, "%016x the quick brown fox ", rng.Uint64())
	}
	b = append(b[:size-2], `"}`...)
	return event.Event{JSON: b, IDOff: uint32(bytes.Index(b, []byte(`:"`)) + 1)}
}

// fill stores n events of a size in a new slot, 256 a commit.
func fill(tb testing.TB, l *Log, n, size int) cow.ID {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	id := cow.NewID()
	commit := func(g cow.Group) {
		groups := []cow.Group{g}
		l.Commit(groups)
		if groups[0].Outcome != cow.Stored {
			tb.Fatalf("outcome %d: %v", groups[0].Outcome, groups[0].Err)
		}
	}
	commit(cow.Group{Op: cow.OpCreate, Slot: id})
	var count, total uint64
	for count < uint64(n) {
		g := cow.Group{Op: cow.OpAppend, Slot: id, Version: count, First: count}
		for range min(256, n-int(count)) {
			e := randomEvent(rng, int(count), size)
			g.Events = append(g.Events, e)
			count, total = count+1, total+uint64(len(e.JSON))
		}
		g.Count, g.Bytes = count, total
		commit(g)
	}
	return id
}

// BenchmarkLoad reads slots of 64 MiB: one that the block cache holds, and in
// turn six that only the page cache holds.
func BenchmarkLoad(b *testing.B) {
	const size, events = 300, 64 << 20 / 300
	for _, slots := range []int{1, 6} {
		b.Run(fmt.Sprintf("size=%d/slots=%d", size, slots), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Options{Sync: Off, Logger: quiet})
			defer l.Close()
			var ids []cow.ID
			for range slots {
				ids = append(ids, fill(b, l, events, size))
			}
			if err := l.db.Compact(b.Context(), []byte{0}, []byte{0xff}, false); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(events * size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := 0
				if err := l.Load(ids[i%slots], 0, func(a *cow.Append) error { n += len(a.Events); return nil }); err != nil || n != events {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(l.Stats().DiskBytes)/float64(slots*events*size), "disk/event")
		})
	}
}

// BenchmarkCommit beside its bound: the same bytes written and synced to a
// file that is long enough already, as Pebble's recycled logs are.
func BenchmarkCommit(b *testing.B) {
	const groups, size = 64, 512
	b.Run(fmt.Sprintf("events=%d/size=%d/raw", groups, size), func(b *testing.B) {
		f, err := os.Create(b.TempDir() + "/raw")
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		const length = 64 << 20
		if _, err := f.Write(make([]byte, length)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		buf := bytes.Repeat([]byte{'x'}, groups*(size+64))
		b.SetBytes(groups * size)
		off := int64(0)
		for b.Loop() {
			if off+int64(len(buf)) > length {
				off = 0
			}
			if _, err := f.WriteAt(buf, off); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
			off += int64(len(buf))
		}
	})
	for _, sync := range []Sync{Always, Off} {
		b.Run(fmt.Sprintf("events=%d/size=%d/sync=%v", groups, size, sync), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Options{Sync: sync, Logger: quiet})
			defer l.Close()
			rng := rand.New(rand.NewPCG(1, 2))
			batch := make([]cow.Group, groups)
			for i := range batch {
				id := fill(b, l, 1, size)
				batch[i] = cow.Group{Op: cow.OpAppend, Slot: id, Events: []event.Event{randomEvent(rng, i, size)}, Count: 1, Bytes: size}
			}
			b.SetBytes(groups * size)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					g := &batch[i]
					g.Version, g.First = g.Count, g.Count
					g.Count, g.Bytes = g.Count+1, g.Bytes+size
				}
				l.Commit(batch)
				for i := range batch {
					if batch[i].Outcome != cow.Stored {
						b.Fatal(batch[i].Outcome, batch[i].Err)
					}
				}
			}
		})
	}
}

func BenchmarkSlots(b *testing.B) {
	for _, slots := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Options{Sync: Off, Logger: quiet})
			defer l.Close()
			fillSlots(b, l, slots)
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if err := l.Slots(func(cow.SlotRecord) error { n++; return nil }); err != nil || n != slots {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(slots), "ns/slot")
		})
	}
}

// fillSlots makes slots of one event each, 1,000 a commit.
func fillSlots(tb testing.TB, l *Log, n int) []cow.ID {
	rng := rand.New(rand.NewPCG(3, 4))
	ids := make([]cow.ID, n)
	e := randomEvent(rng, 0, 200)
	for i := 0; i < n; {
		groups := make([]cow.Group, 0, 2000)
		for range min(1000, n-i) {
			id := cow.NewID()
			ids[i] = id
			i++
			groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:])},
				cow.Group{Op: cow.OpAppend, Slot: id, Events: []event.Event{e}, Count: 1, Bytes: 200})
		}
		l.Commit(groups)
		for i := range groups {
			if groups[i].Outcome != cow.Stored {
				tb.Fatal(groups[i].Outcome, groups[i].Err)
			}
		}
	}
	return ids
}
