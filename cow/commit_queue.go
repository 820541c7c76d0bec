package cow

// enqueue hands a post to the loop, or says why not.
func (c *committer) enqueue(p *Post) error {
	if c.stalled() {
		c.s.stats.PostsStalled.Add(1)
		return ErrBusy
	}
	// Counted first, asked second: the loop ends when nothing is counted after
	// closed was set, so no post is left without an answer.
	n := c.posts.Add(1)
	if c.closed.Load() {
		c.posts.Add(-1)
		return ErrClosed
	}
	if n > int64(c.s.opts.QueuePosts) {
		c.posts.Add(-1)
		c.s.stats.PostsRejected.Add(1)
		return ErrBusy
	}
	if c.bytes.Add(p.bytes) > int64(c.s.opts.QueueBytes) {
		c.dequeued(p)
		c.s.stats.PostsRejected.Add(1)
		return ErrBusy
	}
	// Never blocks: an abandoned post keeps its place in the channel until the
	// loop passes over it, hence the default.
	select {
	case c.queue <- p:
		return nil
	default:
		c.dequeued(p)
		c.s.stats.PostsRejected.Add(1)
		return ErrBusy
	}
}

// stalled says whether the commit under way takes so long that the disk must hang.
func (c *committer) stalled() bool {
	since := c.since.Load()
	return since != 0 && c.s.now()-since > int64(c.s.opts.StallAfter)
}

// dequeued takes a post out of the counts of what waits.
func (c *committer) dequeued(p *Post) {
	c.posts.Add(-1)
	c.bytes.Add(-p.bytes)
}
