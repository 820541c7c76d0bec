package conn

import (
	"errors"
	"os"
	"time"
)

// deadline is a time that is wanted and the one that the socket has, in
// nanoseconds since the set was made. 0 is none.
type deadline struct{ want, armed int64 }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.resumed {
		t = time.Now().Add(c.set.opts.IdleTimeout)
	}
	return c.setDeadline(&c.readBy, t, c.Socket.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.writeBy, t, c.Socket.SetWriteDeadline)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) setDeadline(d *deadline, t time.Time, set func(time.Time) error) error {
	if c.prompt || t.IsZero() {
		*d = deadline{}
		return set(t)
	}
	d.want = int64(t.Sub(c.set.made))
	return nil
}

// arm sets the deadline that is wanted. It leaves the one that is set alone if
// that comes before it, but after seven eighths of the time: so the idle time of
// a busy connection is set every few seconds, not at each request.
func (c *Conn) arm(d *deadline, set func(time.Time) error) error {
	left := d.want - c.set.Now()
	if d.armed != 0 && d.armed <= d.want && d.want-d.armed <= left/8 {
		return nil
	}
	if err := set(c.set.made.Add(time.Duration(d.want))); err != nil {
		return err
	}
	d.armed = d.want
	return nil
}

// pieceDeadline is when a piece that begins now must be written.
func (c *Conn) pieceDeadline() int64 { return c.set.Now() + int64(c.set.opts.PieceTimeout) }

// writeWithin has writes end at the given time, or when the whole reply must be
// written if that is sooner. It returns an error if the time is over.
func (c *Conn) writeWithin(untilNs int64) error {
	if untilNs = min(untilNs, c.writeBy.want); untilNs <= c.set.Now() {
		return os.ErrDeadlineExceeded
	}
	if err := c.Socket.SetWriteDeadline(c.set.made.Add(time.Duration(untilNs))); err != nil {
		return err
	}
	c.writeBy.armed = untilNs
	return nil
}
