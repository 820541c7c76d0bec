package stream

import (
	"sync"
	"sync/atomic"
)

// queue is a list of streams that want to be written to, each at most once. It
// is linked through the streams, so it needs no memory and can't be full.
type queue struct {
	mu          sync.Mutex
	nonEmpty    sync.Cond
	first, last *Stream
	idle        int // writers that wait
	closed      bool

	len atomic.Int64 // of the list; changed under mu
}

func (q *queue) push(st *Stream) {
	q.mu.Lock()
	st.next = nil
	if q.last == nil {
		q.first = st
	} else {
		q.last.next = st
	}
	q.last = st
	q.len.Add(1)
	wake := q.idle > 0
	q.mu.Unlock()
	if wake {
		q.nonEmpty.Signal()
	}
}

// pop waits for a stream. Nil: the queue is closed.
func (q *queue) pop() *Stream {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.first == nil {
		if q.closed {
			return nil
		}
		q.idle++
		q.nonEmpty.Wait()
		q.idle--
	}
	st := q.first
	if q.first = st.next; q.first == nil {
		q.last = nil
	}
	st.next = nil
	q.len.Add(-1)
	return st
}

// close ends the waits of all writers, once the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.nonEmpty.Broadcast()
}
