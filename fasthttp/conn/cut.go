package conn

import (
	"errors"
	"log/slog"
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

const cutLogEvery = int64(10 * time.Second)

// cuts counts replies that were cut.
type cuts struct {
	count    [cutReasons]atomic.Uint64
	loggedNs atomic.Int64 // when one was logged last, on the set's clock; 0: never
}

// loadFailed counts a reply that ends because its next bytes can't be had.
func (c *cuts) loadFailed(err error, nowNs int64, log *slog.Logger) {
	if errors.Is(err, cow.ErrNoSlot) || errors.Is(err, cow.ErrTrimmed) {
		c.count[CutGone].Add(1)
		return
	}
	n := c.count[CutLoad].Add(1)
	last := c.loggedNs.Load()
	if (last == 0 || nowNs-last > cutLogEvery) && c.loggedNs.CompareAndSwap(last, nowNs) {
		log.Error("a reply was cut: what comes next can't be read", "error", err, "cut_so_far", n)
	}
}
