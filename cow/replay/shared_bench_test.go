package replay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// echo is a log in memory that gives back at once what it is sent, and keeps nothing.
type echo struct {
	*replaytest.SharedLog
	entries chan []byte
}

func newEcho() *echo {
	return &echo{replaytest.NewServer(1).Client(), make(chan []byte, 1024)}
}

func (e *echo) Send(entry []byte) error {
	e.entries <- append([]byte(nil), entry...)
	return nil
}

func (e *echo) Follow(ctx context.Context, from uint64, yield func(uint64, []byte) error) error {
	for n := from; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry := <-e.entries:
			if err := yield(n, entry); err != nil {
				return err
			}
		}
	}
}

// BenchmarkSharedCommit: what a relay does itself for a commit, without a log or a
// store. One of the allocations is the log's.
func BenchmarkSharedCommit(b *testing.B) {
	for _, n := range []int{1, 64, 255} {
		b.Run(fmt.Sprintf("posts=%d", n), func(b *testing.B) {
			opts := options(b)
			opts.Backlog = 4 << 20
			j, err := replay.OpenShared(b.Context(), newEcho(), swallowShared{replaytest.NewStore()}, opts)
			if err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			fed(j)
			commit := posts(b, j, n)
			b.SetBytes(int64(n * 512))
			b.ReportAllocs()
			for b.Loop() {
				commit()
			}
		})
	}
}

type swallowShared struct{ replay.MemberStore }

func (swallowShared) Apply(*replay.Batch) error { return nil }

// BenchmarkSharedReplay: how many events a second a relay replays that others posted,
// one event of 512 bytes in each entry, or 64. The store is in memory and keeps nothing.
func BenchmarkSharedReplay(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("posts=%d", n), func(b *testing.B) {
			const entries = 20_000
			server := replaytest.NewServer(1)
			j, err := replay.OpenShared(b.Context(), server.Client(), swallowShared{replaytest.NewStore()}, options(b))
			if err != nil {
				b.Fatal(err)
			}
			groups := make([]cow.Group, n)
			json := make([]byte, 512)
			for i := range groups {
				groups[i] = cow.Group{Op: cow.OpCreate, Slot: cow.NewID()}
			}
			commitAll(b, j, groups...)
			for i := range groups {
				groups[i] = cow.Group{Op: cow.OpAppend, Slot: groups[i].Slot, Events: []event.Event{{JSON: json}}}
			}
			for range entries / n {
				for i := range groups {
					g := &groups[i]
					if g.Bytes > cow.MaxSlotBytes-1024 {
						b.Fatal("the slots are full")
					}
					g.Version, g.First = g.Count, g.Count
					g.Count, g.Bytes = g.Count+1, g.Bytes+512
				}
				commitAll(b, j, groups...)
			}
			j.Close()
			events := 0
			start := time.Now()
			for b.Loop() {
				j, err := replay.OpenShared(b.Context(), server.Client(), swallowShared{replaytest.NewStore()}, options(b))
				if err != nil {
					b.Fatal(err)
				}
				events += entries / n * n
				b.StopTimer()
				j.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(events)/time.Since(start).Seconds(), "events/s")
		})
	}
}
