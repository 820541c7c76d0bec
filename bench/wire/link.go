package wire

import (
	"context"
	"math/rand/v2"
	"net"
	"sync/atomic"
)

// A Link is a Conn that is dialled when it is needed and closed after an
// error, and whose owner can be interrupted from outside.
type Link struct {
	Addr   string
	Buffer int
	From   *Sources // nil: any source address
	conn   *Conn    // the owner's
	// current is conn for interrupt, which runs in another goroutine.
	current atomic.Pointer[Conn]
	stopped atomic.Bool
	fresh   bool // no answer was read on this connection yet
}

// Get returns the connection, dialling it first if there is none.
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
	// Store, then look: interrupt sets stopped first and looks for a connection
	// second, so one of the two closes it.
	l.current.Store(c)
	if l.stopped.Load() {
		l.Fail()
		return nil, net.ErrClosed
	}
	return c, nil
}

// Try does one exchange on the connection, which it closes after an error.
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

// Fail closes the connection; the next get dials anew.
func (l *Link) Fail() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// Interrupt ends whatever the owner waits for. Safe from any goroutine.
func (l *Link) Interrupt() {
	l.stopped.Store(true)
	if c := l.current.Load(); c != nil {
		c.Close()
	}
}

// Renew lets an interrupted link be used again, by its owner.
func (l *Link) Renew() { l.stopped.Store(false) }

// Interrupted says whether interrupt was called.
func (l *Link) Interrupted() bool { return l.stopped.Load() }

// FullCheck says whether this answer is to be checked as a whole.
func (l *Link) FullCheck() bool {
	if l.fresh {
		l.fresh = false
		return true
	}
	return rand.Uint32N(1000) == 0
}
