// Package trim gives memory back that the process does not need: the heap's, when
// the relay has become quiet (heap.go), and the page cache of its files, when the
// relay is quiet or its control group is nearly full (group.go).
//
// The kernel frees page cache by itself, but only when the group is full: then
// whoever asks for memory waits for that, and a process that can't wait is ended.
package trim

import (
	"context"
	"log/slog"
	"runtime/pprof"
	"sync"
	"time"

	"cowrelay/cmd/cowrelay/internal/plan"
)

// How often the two are looked at. Reading the group takes some 20 µs.
const (
	heapEvery  = 10 * time.Second
	groupEvery = 200 * time.Millisecond
)

// Start begins to look after memory. dir is the folder of the files whose cache may
// be dropped. stop ends that and waits for it.
func Start(dir string, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		pprof.Do(ctx, pprof.Labels("relay", "trim"), func(ctx context.Context) { run(ctx, dir, log) })
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func run(ctx context.Context, dir string, log *slog.Logger) {
	heap := time.NewTicker(heapEvery)
	defer heap.Stop()
	var group <-chan time.Time // nil without a group
	g := findGroup(plan.GroupRoot, plan.GroupSelf)
	if g != nil {
		t := time.NewTicker(groupEvery)
		defer t.Stop()
		group = t.C
	}
	dropped := func(files int) {
		if files > 0 {
			log.Debug("dropped page cache", "files", files)
		}
	}
	var h heapWatch
	for {
		select {
		case <-heap.C:
			quiet, n := h.look()
			if n > 0 {
				log.Debug("gave memory of the heap back", "bytes", n)
			}
			if quiet && g != nil {
				dropped(g.trim(dir, true))
			}
		case <-group:
			dropped(g.trim(dir, false))
		case <-ctx.Done():
			return
		}
	}
}
