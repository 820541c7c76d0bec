package replay

import (
	"context"
	"fmt"
	"runtime/pprof"
	"time"
)

// startApplier starts the goroutine that writes the backlog into the store. Close
// ends it and waits for it.
func (j *Journal) startApplier() {
	j.wg.Go(func() {
		pprof.Do(context.Background(), pprof.Labels("relay", "replay-apply"), func(context.Context) { j.applyLoop() })
	})
}

// applyLoop gives one chunk after the other to the store. While the backlog is
// short, it rests after each as long as that took, or the commits of a small machine
// would wait for the processor.
func (j *Journal) applyLoop() {
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	for {
		c, wait := j.backlog.next(batchDelay)
		if c != nil {
			start := time.Now()
			if err := j.apply(c); err != nil {
				j.die(err)
			}
			if err := j.trim(); err != nil {
				j.die(err)
			}
			if j.backlog.long() {
				continue
			}
			timer.Reset(min(time.Since(start), batchDelay))
			select {
			case <-timer.C:
			case <-j.stop:
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
		case <-j.stop:
			return
		case <-j.backlog.wake:
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
func (j *Journal) apply(c *chunk) error {
	start := time.Now()
	if err := j.store.Apply(c.batch()); err != nil {
		return fmt.Errorf("writing to the store failed: %w", err)
	}
	j.batches.Add(1)
	j.applyTime.Add(int64(time.Since(start)))
	j.backlog.drop(c)
	return nil
}

// batch is what the store gets of a sealed chunk. Nobody changes a sealed chunk, so
// its fields need no lock here.
func (c *chunk) batch() *Batch {
	return &Batch{Seq: c.last, Groups: c.groups, Records: c.records, Totals: c.totals}
}

// trim lets the log forget what the store keeps over a crash. One trim runs at a
// time.
func (j *Journal) trim() error {
	seq := j.store.Durable()
	if seq <= j.trimmed.Load() {
		return nil
	}
	if err := j.log.Trim(seq); err != nil {
		return fmt.Errorf("trimming the log failed: %w", err)
	}
	j.trimmed.Store(seq)
	return nil
}
