package stats

import (
	"sync/atomic"
	"time"
)

// Commits measures what the journal does. NewCommits makes it; any goroutine
// may count.
type Commits struct {
	write *Histogram // a batch, its sync included
	sync  *Histogram // the sync alone
	posts *Histogram // of a batch: plain numbers
}

// NewCommits returns one that has counted nothing.
func NewCommits() *Commits {
	return &Commits{
		write: newHistogram(requestBounds, time.Second),
		sync:  newHistogram(requestBounds, time.Second),
		posts: newHistogram(batchBounds, 1),
	}
}

// Batch counts a batch that was written.
func (c *Commits) Batch(posts int, took time.Duration) {
	c.write.Observe(took)
	c.posts.Observe(time.Duration(posts))
}

// Sync counts a sync of the journal to stable storage.
func (c *Commits) Sync(took time.Duration) { c.sync.Observe(took) }

func (c *Commits) families() []Family {
	return []Family{
		Durations("cowrelay_commit_batch_posts", "Events in a journal batch.", func() *Histogram { return c.posts }),
		Durations("cowrelay_commit_duration_seconds", "Time that the journal took to write a batch, its sync included.", func() *Histogram { return c.write }),
		Durations("cowrelay_journal_sync_duration_seconds", "Time of a write to the log, with its sync to stable storage.", func() *Histogram { return c.sync }),
	}
}

// Batches measures posts of many events. NewBatches makes it; any goroutine may
// count.
type Batches struct {
	events             *Histogram // of a post, duplicates included: plain numbers
	stored, duplicates atomic.Uint64
}

// NewBatches returns one that has counted nothing.
func NewBatches() *Batches { return &Batches{events: newHistogram(batchBounds[1:], 1)} }

// Count counts a post that was answered.
func (b *Batches) Count(stored, duplicates int) {
	b.events.Observe(time.Duration(stored + duplicates))
	b.stored.Add(uint64(stored))
	b.duplicates.Add(uint64(duplicates))
}

// Families are its families of metrics, in their order.
func (b *Batches) Families() []Family {
	return []Family{
		Durations("cowrelay_batch_post_events", "Events in a post of many events that was answered, duplicates included.", func() *Histogram { return b.events }),
		CounterBy("cowrelay_batch_events_total", "outcome", "Events that came in posts of many events, by outcome: stored, duplicate.", func(show Show) {
			show("stored", b.stored.Load())
			show("duplicate", b.duplicates.Load())
		}),
	}
}
