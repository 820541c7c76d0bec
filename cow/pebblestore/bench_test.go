package pebblestore

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
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

// poster makes batches of posts to slots that are chosen at random.
type poster struct {
	rng    *rand.Rand
	size   int
	slots  []cow.SlotRecord
	events []event.Event // that are posted in turn
	batch  replay.Batch
}

func newPoster(tb testing.TB, s *Store, slots, size int) *poster {
	p := &poster{rng: rand.New(rand.NewPCG(1, uint64(slots))), size: size}
	for i := range 4096 {
		p.events = append(p.events, randomEvent(p.rng, i, size))
	}
	b := &p.batch
	for range slots {
		id := cow.NewID()
		p.slots = append(p.slots, cow.SlotRecord{Slot: id})
		b.Groups = append(b.Groups, replay.Group{Op: cow.OpCreate, Slot: id, Token: cow.HashToken(id[:])})
	}
	b.Seq = 1
	mustApply(tb, s, b)
	return p
}

// next makes a batch of about this many bytes, with one post in each group.
func (p *poster) next(bytes int) (b *replay.Batch, posts int) {
	b = &p.batch
	b.Groups = b.Groups[:0]
	for ; posts*p.size < bytes; posts++ {
		r := &p.slots[p.rng.IntN(len(p.slots))]
		i := p.rng.IntN(len(p.events))
		g := replay.Group{Op: cow.OpAppend, Slot: r.Slot, First: r.Count, Events: p.events[i : i+1 : i+1]}
		r.Count++
		r.Bytes += uint64(p.size)
		g.Count, g.Bytes = r.Count, r.Bytes
		b.Groups = append(b.Groups, g)
	}
	b.Seq++
	b.Totals.EventsPosted += uint64(posts)
	return b, posts
}

// BenchmarkApply applies posts of a size in batches of 1 MiB. amplification is how
// many bytes flushes and compactions write for each byte of events.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{512, 4096, 65_536} {
		for _, slots := range []int{64, 10_000} {
			b.Run(fmt.Sprintf("size=%d/slots=%d", size, slots), func(b *testing.B) {
				s := mustOpen(b, b.TempDir(), Options{Logger: quiet})
				defer s.Close()
				p := newPoster(b, s, slots, size)
				posts, cpu := 0, cpuTime()
				b.ReportAllocs()
				for b.Loop() {
					batch, n := p.next(1 << 20)
					mustApply(b, s, batch)
					posts += n
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(posts), "ns/post")
				if err := s.db.Flush(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(posts), "cpu-ns/post")
				m := s.Stats().Pebble
				t := m.Total()
				written := float64(t.TableBytesFlushed + t.TableBytesCompacted + t.BlobBytesFlushed + t.BlobBytesCompacted)
				b.ReportMetric(written/float64(posts), "written/post")
				b.ReportMetric(written/float64(posts*size), "amplification")
				b.ReportMetric(float64(m.DiskSpaceUsage())/float64(posts*size), "disk/event")
			})
		}
	}
}

// cpuTime is what the process took so far, on all cores.
func cpuTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
