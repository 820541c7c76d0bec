package cow

// Gather: what waits is decided, until nothing waits or the batch is full.

// gather decides what waits: first what the loop has already, then what is
// queued.
func (c *commitPipeline) gather() {
	n := 0
	for ; n < len(c.backlog.todo) && !c.next.full(); n++ {
		c.decide(c.backlog.todo[n])
	}
	c.backlog.drop(n)
	for !c.next.full() {
		select {
		case p := <-c.queue.posts:
			c.decide(p)
		default:
			return
		}
	}
}
