package cow

// enqueue hands a post to the loop, or says why not.
func (c *committer) enqueue(p *Post) error {
	if since := c.since.Load(); since != 0 && c.s.now()-since > int64(c.s.opts.StallAfter) {
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

// dequeued takes a post out of the counts of what waits.
func (c *committer) dequeued(p *Post) {
	c.posts.Add(-1)
	c.bytes.Add(-p.bytes)
}

// ask has f run by the loop when nothing is decided or in flight. f must not
// block.
func (c *committer) ask(f func()) {
	c.inboxMu.Lock()
	c.inbox = append(c.inbox, f)
	c.inboxMu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// asked says whether something waits for the loop to run it.
func (c *committer) asked() bool {
	c.inboxMu.Lock()
	defer c.inboxMu.Unlock()
	return len(c.inbox) > 0
}

// runInbox runs what others asked for.
func (c *committer) runInbox() {
	if !c.asked() {
		return
	}
	c.finish()
	c.inboxMu.Lock()
	inbox := c.inbox
	c.inbox = nil
	c.inboxMu.Unlock()
	for _, f := range inbox {
		f()
	}
}
