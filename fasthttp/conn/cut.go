package conn

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

// Reasons why a reply was cut: its length was promised, and not all of it sent.
// They are labels of a metric. A client that leaves by itself is not among them.
const (
	CutSlow = iota // the client did not take a piece, or the whole, in time
	CutLoad        // what comes next could not be read from the store
	CutGone        // the slot was removed
	cutReasons
)

// CutNames are the reasons' names.
var CutNames = [cutReasons]string{"slow", "load", "gone"}

// Cuts counts the replies that were cut, by reason.
func (s *Set) Cuts() []atomic.Uint64 { return s.cuts[:] }

// late counts an error of a write to the connection, if it is that its time is
// over. Then it also has the kernel let go of what was not sent when the
// connection is closed: a client that does not read would keep it there for
// minutes.
func (c *Conn) late(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.set.cuts[CutSlow].Add(1)
		c.TCPConn.SetLinger(0)
	}
}

const cutLogEvery = int64(10 * time.Second)

// cut counts a reply that ends because its next bytes can't be had.
func (s *Set) cut(err error) {
	if errors.Is(err, cow.ErrNoSlot) {
		s.cuts[CutGone].Add(1)
		return
	}
	n := s.cuts[CutLoad].Add(1)
	now, last := s.Now(), s.cutLoggedNs.Load()
	if (last == 0 || now-last > cutLogEvery) && s.cutLoggedNs.CompareAndSwap(last, now) {
		s.opts.Logger.Error("a reply was cut: what comes next can't be read", "error", err, "cut_so_far", n)
	}
}
