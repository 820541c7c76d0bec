package conn

import (
	"io"
	"net"
	"time"
)

const (
	lingerBytes = 4 << 20 // of what a refused client still sends, read and dropped
	lingerTime  = 2 * time.Second
	lingerMost  = 256 // connections that may linger at once
)

// Over is how many connections may be open beyond so many that have a place:
// those that were turned away and linger, and the one that is accepted.
func Over(most int) int { return min(lingerMost, most/16+4) + 1 }

// Refuse has the connection closed gently: its client may still be sending.
func (c *Conn) Refuse() { c.gentle.Store(true) }

// TurnAway closes a connection that has no place, gently.
func (c *Conn) TurnAway() {
	c.over = true
	c.Refuse()
	c.Close()
}

// Close implements net.Conn. Closing at once while the client still sends
// makes the kernel send a reset, which fails the client's writes and can eat
// the reply before it is read. So a refused connection ends our side first,
// and then drops a bounded rest of theirs:
//
//	Close ──▶ CloseWrite ──▶ drop what comes, at most lingerBytes in lingerTime ──▶ end
//	      └─▶ end, if it was not refused or if too many linger
func (c *Conn) Close() (err error) {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	s := c.set
	defer s.rescue("close", func() { err = c.end() })
	s.Arrivals.settle(&c.arriving)
	if st := c.opening.Swap(nil); st != nil {
		st.Abandon()
	}
	if c.gentle.Load() {
		most := int64(lingerMost)
		if c.over {
			most = int64(Over(s.opts.MostConns) - 1)
		}
		if s.lingering.Add(1) <= most {
			c.Wait() // it has had its answer, and may go
			s.spawn("linger", c.drop)
			return nil
		}
		s.lingering.Add(-1)
	}
	return c.end()
}

// end gives the connection's place back. It is the last of Close.
func (c *Conn) end() error {
	err := c.Socket.Close()
	c.set.opts.Places.Give(&c.Place)
	c.set.open.Add(-1)
	return err
}

// drop reads what a refused client still sends, up to a bound, and ends the
// connection.
func (c *Conn) drop() {
	defer c.set.lingering.Add(-1)
	defer c.end()
	c.CloseWrite()
	c.base.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.base, lingerBytes) // nobody asks what it says
}
