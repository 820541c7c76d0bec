package stream

import (
	"fmt"
	"net"
	"syscall"
)

// socket is what a stream needs of its connection beside net.Conn.
type socket interface {
	SyscallConn() (syscall.RawConn, error)
	SetWriteBuffer(bytes int) error
}

// Filter stands between what a connection is given and its socket, as TLS does. What
// it has taken may still be on its way.
type Filter interface {
	// Give takes what the socket has room for, and never waits: see secure.Conn.
	Give(fd uintptr, parts [][]byte) (int, error)
	// Unsent says whether the socket has not all that was taken. Give with no parts
	// goes on with it.
	Unsent() bool
}

// Start gives the stream its connection, which it owns from here on. It reports
// whether the stream runs: one that had to give way before, or that met a fault,
// is closed, and its connection with it.
func (st *Stream) Start(c net.Conn) (runs bool) {
	s := st.set
	st.conn = c
	defer s.rescue("stream", func() { st.close(EndPanic) })
	if sock, ok := c.(socket); ok {
		st.raw, _ = sock.SyscallConn()
		sock.SetWriteBuffer(s.opts.SendBuffer)
	}
	if f, ok := c.(interface{ Filter() Filter }); ok {
		st.filter = f.Filter()
	}
	if st.raw == nil {
		s.env.Logger.Error("a stream needs a socket", "type", fmt.Sprintf("%T", c))
		s.wheel.add(st)
		st.close(EndWrite)
		return false
	}
	setUserTimeout(st.raw, 2*s.opts.Heartbeat+s.opts.WriteTimeout)
	st.wroteNs.Store(s.env.Now())
	s.wheel.add(st)
	if st.closed.Load() { // it had to give way
		s.wheel.remove(st)
		return false
	}
	s.watch(st)
	st.requeue()
	if s.env.Draining() {
		st.askLeave(askDrain) // it came while the others were told
	}
	return true
}

// Abandon ends a stream whose connection broke before it was the stream's own:
// the server then never calls Start.
func (st *Stream) Abandon() {
	if !st.closed.Swap(true) {
		st.sub.Close()
		st.set.ended[EndClient].Add(1)
		st.set.uncount(st)
	}
}
