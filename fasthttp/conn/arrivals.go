package conn

import (
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
)

const (
	// SmallBody is the most bytes of a body that are read before the handler runs.
	// Bodies up to that are not booked by their length.
	SmallBody = 8 << 10
	// MostLines is how many lines a header may have: each pins more than its text.
	MostLines = 100
	// unfinishedBytes is what a request pins that has begun to arrive and waits for
	// more: buffers, a header half read, a small body, the goroutine's stack.
	unfinishedBytes = 48 << 10
	// lineBytes is what each line of a header pins beyond its text.
	lineBytes = 128
)

// Arrivals keeps the books of the memory of requests that have not arrived as a
// whole. A request whose header and small body come at once is not in them. One
// that must be waited for is:
//
//	            more must be waited for           a longer body is wanted
//	(nothing) ───────────▶ loose ────────────────────────┐
//	                         │  so many are loose, or    ▼
//	                         └──▶ the header is long ──▶ booked ──▶ settled
//
// A few are loose: they are only counted, which costs no lock. Beyond that each
// is booked for its client. So is every longer body: by its length before it is
// read, or by pieces when it comes in chunks.
//
// One client has at most half. Where there is no room, a request gives way; see
// victim. So a client that takes little is served whatever others do, also those
// behind its address.
type Arrivals struct {
	limit int64                        // bytes in all
	books *share.Ledger[accept.Client] // of booked bytes
	share int64                        // booked bytes of one client
	grace time.Duration                // see victim
	now   func() int64                 // nanoseconds

	loose     atomic.Int64 // requests that are only counted
	looseMost int64

	refused atomic.Uint64 // requests that found no room
	cut     atomic.Uint64 // requests that gave way

	// burst is set when more than half was in use. When that is over, what pools
	// and runtime still have of it is given back; see sweepLater. Pairs with the
	// CompareAndSwap there.
	burst   atomic.Bool
	sweepMu sync.Mutex
	sweep   *time.Timer // guarded by sweepMu
}

func newArrivals(limit int64, grace time.Duration, now func() int64) *Arrivals {
	a := &Arrivals{limit: limit, grace: grace, now: now, looseMost: limit / 4 / unfinishedBytes}
	booked := limit - a.looseMost*unfinishedBytes
	a.share = booked / 2
	a.books = share.New[accept.Client](booked, a.share)
	return a
}

// Used is the bytes in use.
func (a *Arrivals) Used() int64 { return a.books.Used() + a.loose.Load()*unfinishedBytes }

// Limit is the bytes that may be in use.
func (a *Arrivals) Limit() int64 { return a.limit }

// Clients is how many clients have something booked.
func (a *Arrivals) Clients() int { return a.books.Clients() }

// Held is the bytes that a client has booked.
func (a *Arrivals) Held(client accept.Client) int64 { return a.books.Held(client) }

// Largest is the bytes of the client that has booked the most.
func (a *Arrivals) Largest() int64 { return a.books.Most() }

// Refused counts requests that found no room.
func (a *Arrivals) Refused() uint64 { return a.refused.Load() }

// Cut counts requests that gave way.
func (a *Arrivals) Cut() uint64 { return a.cut.Load() }

// wait books a request that has begun to arrive and of which more has to be
// waited for. The caller serves the connection.
func (a *Arrivals) wait(c *arriving) error {
	if c.loose || c.booked != nil {
		return nil
	}
	if c.lines <= MostLines {
		if a.loose.Add(1) <= a.looseMost {
			c.loose = true
			return nil
		}
		a.loose.Add(-1)
	}
	if !a.book(c, c.peer, unfinishedBytes+int64(c.lines)*lineBytes, !c.inBody) {
		c.cut.Store(true) // for those who see no error of ours
		return ErrNoRoom
	}
	return nil
}

// body books n bytes of a body, in all, for the client. What the request had
// booked as one that waits is included. The caller serves the connection.
func (a *Arrivals) body(c *arriving, client accept.Client, n int64) bool {
	n += unfinishedBytes
	if own := c.booked; own != nil {
		own.head.Store(false)
		if own.client == client {
			return a.grow(own, n-own.bytes)
		}
		a.books.Give(&own.holder) // it was the proxy's
		c.booked = nil
	}
	if !a.book(c, client, n, false) {
		return false
	}
	if c.loose {
		c.loose = false
		a.loose.Add(-1)
	}
	return true
}

func (a *Arrivals) book(c *arriving, client accept.Client, n int64, head bool) bool {
	own := &arrival{on: c, client: client, since: a.now()}
	own.head.Store(head)
	own.holder.Owner = own
	if !a.find(own, n, func() bool { return a.books.Take(&own.holder, client, n) }) {
		return false
	}
	own.bytes = n
	c.booked = own
	return true
}

func (a *Arrivals) grow(own *arrival, n int64) bool {
	if n <= 0 {
		return true
	}
	if !a.find(own, n, func() bool { return a.books.Grow(&own.holder, n) }) {
		return false
	}
	own.bytes += n
	return true
}

// settle gives back what the request has, once it has arrived or is given up. The
// caller serves the connection, or closes it.
func (a *Arrivals) settle(c *arriving) {
	if c.loose {
		c.loose = false
		a.loose.Add(-1)
	}
	if c.booked != nil {
		a.books.Give(&c.booked.holder)
		c.booked = nil
		if a.burst.Load() && a.Used() < a.limit/8 {
			a.sweepLater()
		}
	}
}
