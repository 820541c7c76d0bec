package fasthttp

import (
	"errors"
	"os"
	"time"

	"cowrelay/cow"
)

// Reasons why a reply was cut: its length was promised, and not all of it sent.
// They are labels of a metric. A client that leaves by itself is not among them.
const (
	cutSlow = iota // the client did not take a piece, or the whole, in time
	cutLoad        // what comes next could not be read from the store
	cutGone        // the slot was removed
	cutReasons
)

var cutNames = [cutReasons]string{"slow", "load", "gone"}

// late says that err, of a write to the connection, is that its time is over. It
// counts that, and has the kernel let go of what was not sent when the connection
// is closed: a client that does not read would keep it there for minutes.
func (c *conn) late(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.relay.cuts[cutSlow].Add(1)
	c.TCPConn.SetLinger(0)
	return true
}

const cutLogEvery = int64(10 * time.Second)

// cut counts a reply that ends because its next bytes can't be had.
func (r *Relay) cut(err error) {
	if errors.Is(err, cow.ErrNoSlot) {
		r.cuts[cutGone].Add(1)
		return
	}
	n := r.cuts[cutLoad].Add(1)
	now, last := r.clock(), r.cutLogged.Load()
	if (last == 0 || now-last > cutLogEvery) && r.cutLogged.CompareAndSwap(last, now) {
		r.opts.Logger.Error("a reply was cut: what comes next can't be read", "error", err, "cut_so_far", n)
	}
}
