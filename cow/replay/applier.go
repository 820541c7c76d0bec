package replay

import (
	"context"
	"fmt"
	"runtime/pprof"
	"time"
)

// startApplier starts the goroutine that writes the backlog into the store. Close
// ends it and waits for it.
func (m *machine) startApplier() {
	m.wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "replay-apply"), func(context.Context) { m.applyLoop() })
	})
}

// applyLoop gives one chunk after the other to the store. While the backlog is
// short, it rests after each as long as that took, or the commits of a small machine
// would wait for the processor.
func (m *machine) applyLoop() {
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	for {
		c, wait := m.backlog.next(batchDelay)
		if c != nil {
			start := time.Now()
			if err := m.apply(c); err != nil {
				m.die(err)
			}
			if err := m.trim(); err != nil {
				m.die(err)
			}
			if m.backlog.long() {
				continue
			}
			timer.Reset(min(time.Since(start), batchDelay))
			select {
			case <-timer.C:
			case <-m.stop:
				return
			}
			continue
		}
		var later <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			later = timer.C
		}
		select {
		case <-m.stop:
			return
		case <-m.backlog.wake:
		case <-later:
		}
	}
}

// long says whether the backlog takes memory that is worth an effort.
func (b *backlog) long() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.bytes > b.limit/8
}

// apply writes the oldest chunk into the store and takes it out of the backlog. One
// apply runs at a time.
func (m *machine) apply(c *chunk) error {
	start := time.Now()
	if err := m.store.Apply(c.batch(m.state.chain != nil)); err != nil {
		return fmt.Errorf("writing to the store failed: %w", err)
	}
	m.batches.Add(1)
	m.applyTime.Add(int64(time.Since(start)))
	m.backlog.drop(c)
	return nil
}

// batch is what the store gets of a sealed chunk. Nobody changes a sealed chunk, so
// its fields need no lock here.
func (c *chunk) batch(shared bool) *Batch {
	return &Batch{
		Seq: c.last, Groups: c.groups, Records: c.records, Totals: c.totals,
		Shared: shared, Digest: c.fx.digest, Producers: c.fx.producers,
	}
}

// trim lets the log forget what the store keeps over a crash. One trim runs at a
// time.
func (m *machine) trim() error {
	seq := m.store.Durable()
	if seq <= m.trimmed.Load() {
		return nil
	}
	if m.trimLog == nil {
		m.trimmed.Store(seq)
		return nil
	}
	if err := m.trimLog(seq); err != nil {
		return fmt.Errorf("trimming the log failed: %w", err)
	}
	m.trimmed.Store(seq)
	return nil
}
