package stream

import (
	"context"
	"net"
	"runtime/pprof"
)

// Leaver is told that its client has left, once or more. One goroutine tells
// all of them, so HungUp must not block.
type Leaver interface{ HungUp() }

// Watch is the place that a watched connection has with the Hangups, from 1; the
// zero value has none. It is under the lock of the Hangups.
type Watch int32

// watch has the stream closed when its client leaves. A client has nothing to
// say on a stream: what it sends ends it.
func (s *Set) watch(st *Stream) {
	if s.hangs.Watch(st, &st.watch, st.raw, true) {
		// close marks the stream first and forgets the place second. Here the place
		// is taken first and the mark looked at second. So the place is given back.
		if st.closed.Load() {
			s.hangs.forget(&st.watch)
		}
		return
	}
	s.readers.Go(func() {
		pprof.SetGoroutineLabels(readerLabels) // shared: labels of its own would cost each stream
		readOne(st.conn)
		st.close(EndClient)
	})
}

var readerLabels = pprof.WithLabels(context.Background(), pprof.Labels("relay", "stream-reader"))

func readOne(c net.Conn) {
	var b [1]byte
	c.Read(b[:])
}
