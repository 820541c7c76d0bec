package stats

import "time"

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
