package replay_test

import (
	"bytes"
	"fmt"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// nowhere is a log that keeps nothing.
type nowhere struct {
	replay.Log
	seq uint64
}

func (n *nowhere) Append([]byte) (uint64, error) { n.seq++; return n.seq, nil }
func (n *nowhere) Trim(uint64) error             { return nil }

// swallow is a store that keeps nothing of its batches.
type swallow struct{ replay.Store }

func (swallow) Apply(*replay.Batch) error { return nil }

// posts are commits of one event of 512 bytes to each of n slots.
func posts(tb testing.TB, j cow.Journal, n int) (commit func()) {
	const size = 512
	groups := make([]cow.Group, n)
	for i := range groups {
		id := cow.NewID()
		create := []cow.Group{{Op: cow.OpCreate, Slot: id}}
		j.Commit(create)
		if create[0].Outcome != cow.Stored {
			tb.Fatal(create[0].Outcome)
		}
		json := append(bytes.Repeat([]byte{'x'}, size-1), '}')
		groups[i] = cow.Group{Op: cow.OpAppend, Slot: id, Events: []event.Event{{JSON: json}}}
	}
	return func() {
		for i := range groups {
			g := &groups[i]
			if g.Bytes+size > cow.MaxSlotBytes {
				tb.Fatal("the slots are full")
			}
			g.Version, g.First = g.Count, g.Count
			g.Count, g.Bytes = g.Count+1, g.Bytes+size
		}
		j.Commit(groups)
		for i := range groups {
			if groups[i].Outcome != cow.Stored {
				tb.Fatal(groups[i].Outcome, groups[i].Err)
			}
		}
	}
}

// BenchmarkCommit beside its bound: the same bytes copied. Neither log nor store do
// anything.
func BenchmarkCommit(b *testing.B) {
	const size = 512
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("posts=%d/copy", n), func(b *testing.B) {
			json := bytes.Repeat([]byte{'x'}, size)
			buf := make([]byte, 0, 1<<20)
			b.SetBytes(int64(n * size))
			for b.Loop() {
				if len(buf)+n*size > cap(buf) {
					buf = buf[:0]
				}
				for range n {
					buf = append(buf, json...)
				}
			}
		})
		b.Run(fmt.Sprintf("posts=%d/commit", n), func(b *testing.B) {
			opts := options(b)
			opts.Backlog = 4 << 20 // what waits for the applier is used again
			j := mustOpen(b, &nowhere{Log: replaytest.NewLog(0)}, swallow{replaytest.NewStore()}, opts)
			commit := posts(b, j, n)
			b.SetBytes(int64(n * size))
			b.ReportAllocs()
			for b.Loop() {
				commit()
			}
		})
	}
}

// BenchmarkLoad of one event from a backlog of so many: nothing else is in it for the slot.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 60_000} {
		b.Run(fmt.Sprintf("backlog=%d", n), func(b *testing.B) {
			store := replaytest.NewStore()
			g := newGate()
			store.Before = g.at(replaytest.Apply)
			g.close()
			j := mustOpen(b, &nowhere{Log: replaytest.NewLog(0)}, store, options(b))
			id := cow.NewID()
			commitAll(b, j, cow.Group{Op: cow.OpCreate, Slot: id}, appendOf(id, 0, 0, 1, 512))
			commit := posts(b, j, 1000)
			for range n / 1000 {
				commit()
			}
			b.ReportAllocs()
			for b.Loop() {
				if n, err := loadCount(j, id, 0); n != 1 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
