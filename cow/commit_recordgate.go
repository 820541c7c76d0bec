package cow

// writeRecord lets a request write a record beside the slots: not while the disk
// hangs, not when as many do as may wait in the queue of posts,
// and not into a store that closes. done must be called behind it.
func (s *Store) writeRecord() (done func(), err error) {
	switch {
	case s.commits.closed.Load():
		return nil, ErrClosed
	case s.commits.stalled():
		return nil, ErrBusy
	}
	if s.recordWriters.Add(1) > int64(s.opts.QueuePosts) {
		s.recordWriters.Add(-1)
		return nil, ErrBusy
	}
	return func() { s.recordWriters.Add(-1) }, nil
}
