package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/cgroup"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/record"
)

// A sampler reads what a relay takes, in one goroutine.
type sampler struct {
	w     *record.Writer[entry]
	s     *load.Server
	group *cgroup.Group
	dir   string // with the relay's data and its log
	rest  int64  // the difference in the books before the load
	zero  time.Time
	log   load.ErrorLog // of readings that failed
}

// run samples until end, or until ctx ends.
func (p *sampler) run(ctx context.Context, end time.Time, every, booksEvery time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for nextBooks := p.zero; ctx.Err() == nil && time.Now().Before(end); {
		// The books come first: a sample after them shows a relay that goes on.
		if now := time.Now(); !now.Before(nextBooks) {
			nextBooks = nextBooks.Add(booksEvery)
			p.note(ctx, "the books", p.readBooks(ctx))
		}
		p.note(ctx, "a sample", p.sample(ctx))
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// note counts a reading that failed, unless it was ended.
func (p *sampler) note(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		p.log.Add(fmt.Errorf("%s could not be read: %w", what, err))
	}
}

func (p *sampler) readBooks(ctx context.Context) error {
	b, err := books.Read(ctx, p.s.Admin, "")
	if err != nil {
		return err
	}
	b.Rest = p.rest
	p.w.Put(entry{Reading: &Reading{At: time.Since(p.zero).Seconds(), Books: *b}})
	return nil
}

func (p *sampler) sample(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	m, err := books.Metrics(ctx, p.s.Admin, "")
	if err != nil {
		return err
	}
	s := Sample{At: time.Since(p.zero).Seconds(), Kinds: map[string]int64{}}
	use := p.group.Now()
	s.Group, s.Own, s.Cache, s.Kernel, s.Sockets = use.Peak, use.Anon, use.Cache, use.Kernel, use.Sockets
	if s.RSS, err = proc.StatusBytes(p.s.PID, "VmRSS"); err != nil {
		return err
	}
	of := func(name string) int64 { return int64(m[name]) }
	s.Heap = of("go_memstats_heap_alloc_bytes")
	s.Go = of("go_memstats_sys_bytes") - of("go_memstats_heap_released_bytes")
	s.Counted = int64(m.Sum("cowrelay_memory_bytes") + m.Sum("cowrelay_backlog_bytes"))
	for name, v := range m {
		if kind, ok := strings.CutPrefix(name, `cowrelay_memory_bytes{kind="`); ok {
			s.Kinds[strings.TrimSuffix(kind, `"}`)] = int64(v)
		}
	}
	s.Kinds["backlog"] = of("cowrelay_backlog_bytes")
	s.Budget = of("cowrelay_memory_budget_bytes")
	s.Goroutines, s.Descriptors, s.Streams = of("go_goroutines"), of("process_open_fds"), of("cowrelay_streams")
	s.Events, s.EventBytes, s.Journal = of("cowrelay_events"), of("cowrelay_event_bytes"), of("cowrelay_journal_bytes")
	s.Evictions, s.Loads = int64(m.Sum("cowrelay_evictions_total")), int64(m.Sum("cowrelay_loads_total"))
	if _, s.Disk, err = record.DiskUse(filepath.Join(p.dir, "relay")); err != nil {
		return err
	}
	log, err := os.Stat(filepath.Join(p.dir, "relay.log"))
	if err != nil {
		return err
	}
	s.Log = log.Size()
	if s.Goroutines == 0 || s.Descriptors == 0 || s.Heap == 0 || s.Budget == 0 {
		return fmt.Errorf("the relay's metrics lack some of those that are sampled: %d goroutines, %d descriptors, %d bytes of heap, %d of budget",
			s.Goroutines, s.Descriptors, s.Heap, s.Budget)
	}
	p.w.Put(entry{Sample: &s})
	return nil
}

// minutes sums up the latencies of posts by the minute in which they were due.
type minutes struct {
	zero time.Time // set before the first post

	mu sync.Mutex // guards the fields below
	of []load.Histogram
}

func (m *minutes) posted(due time.Time, took time.Duration) {
	i := max(0, int(due.Sub(m.zero)/time.Minute))
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.of) <= i {
		m.of = append(m.of, load.NewHistogram())
	}
	m.of[i].Record(took)
}
