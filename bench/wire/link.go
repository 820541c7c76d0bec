package wire

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// A Link is a connection that is made when it is needed, and closed after an
// error. It belongs to one goroutine, which another one can interrupt.
//
// It must not be copied after its first use.
type Link struct {
	Addr   string   // host:port
	Buffer int      // size of the read buffer in bytes
	From   *Sources // nil: any source address
	conn   *Conn    // nil: none; the owner's alone
	// current is the newest conn. Get stores it and then loads stopped; Interrupt
	// stores stopped and then loads current.
	current atomic.Pointer[Conn]
	stopped atomic.Bool
	fresh   bool // no answer of this connection was checked yet; the owner's
}

// Get returns the connection, and makes it first if there is none.
func (l *Link) Get(ctx context.Context) (*Conn, error) {
	if l.conn != nil {
		return l.conn, nil
	}
	if l.stopped.Load() {
		return nil, net.ErrClosed
	}
	c, err := DialFrom(ctx, l.From, l.Addr, l.Buffer)
	if err != nil {
		return nil, err
	}
	l.conn, l.fresh = c, true
	// Interrupt works in the other order, so one of the two closes the connection.
	l.current.Store(c)
	if l.stopped.Load() {
		l.Fail()
		return nil, net.ErrClosed
	}
	return c, nil
}

// Try calls exchange with the connection, and closes the connection if that
// fails.
func (l *Link) Try(ctx context.Context, exchange func(*Conn) error) error {
	c, err := l.Get(ctx)
	if err != nil {
		return err
	}
	if err := exchange(c); err != nil {
		l.Fail()
		return err
	}
	return nil
}

// Close releases the connection.
func (l *Link) Close() { l.Fail() }

// Fail closes the connection. The next Get makes another one.
func (l *Link) Fail() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// Interrupt ends whatever the owner waits for. Any goroutine may call it.
func (l *Link) Interrupt() {
	l.stopped.Store(true)
	if c := l.current.Load(); c != nil {
		c.Close()
	}
}

// Renew makes an interrupted link usable again. The owner calls it.
func (l *Link) Renew() { l.stopped.Store(false) }

// Interrupted says whether Interrupt was called.
func (l *Link) Interrupted() bool { return l.stopped.Load() }

// FullCheck says whether to check all bytes of this answer: those of a
// connection's first one, and of one in a thousand.
func (l *Link) FullCheck() bool {
	if l.fresh {
		l.fresh = false
		return true
	}
	return rand.Uint32N(1000) == 0
}
