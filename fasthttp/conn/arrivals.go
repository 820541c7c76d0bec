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

// arrival is what a request that is arriving has booked. It is for one request
// alone, so that whoever makes room can give back for it at any time.
type arrival struct {
	holder share.Holder[accept.Client]
	conn   *Conn
	client accept.Client
	bytes  int64 // booked; the goroutine's that serves the connection
	since  int64 // nanoseconds, when it was booked
	// gotBytes were read since. Added by the goroutine that serves the connection;
	// pairs with the Load in victim.
	gotBytes atomic.Int64
	// head is true while the header is not there as a whole. Set by the goroutine
	// that serves the connection; pairs with the Load in victim.
	head atomic.Bool
}

// wait books a request that has begun to arrive and of which more has to be
// waited for. The caller serves c.
func (a *Arrivals) wait(c *Conn) error {
	if c.loose || c.arrival != nil {
		return nil
	}
	if c.lines <= MostLines {
		if a.loose.Add(1) <= a.looseMost {
			c.loose = true
			return nil
		}
		a.loose.Add(-1)
	}
	if !a.book(c, accept.ClientAt(c.Peer), unfinishedBytes+int64(c.lines)*lineBytes, !c.inBody) {
		c.cut.Store(true) // for those who see no error of ours
		return ErrNoRoom
	}
	return nil
}

// body books n bytes of a body, in all, for the client. What the request had
// booked as one that waits is included. The caller serves c.
func (a *Arrivals) body(c *Conn, client accept.Client, n int64) bool {
	n += unfinishedBytes
	if own := c.arrival; own != nil {
		own.head.Store(false)
		if own.client == client {
			return a.grow(own, n-own.bytes)
		}
		a.books.Give(&own.holder) // it was the proxy's
		c.arrival = nil
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

func (a *Arrivals) book(c *Conn, client accept.Client, n int64, head bool) bool {
	own := &arrival{conn: c, client: client, since: a.now()}
	own.head.Store(head)
	own.holder.Owner = own
	if !a.find(own, n, func() bool { return a.books.Take(&own.holder, client, n) }) {
		return false
	}
	own.bytes = n
	c.arrival = own
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
// caller serves c, or closes it.
func (a *Arrivals) settle(c *Conn) {
	if c.loose {
		c.loose = false
		a.loose.Add(-1)
	}
	if c.arrival != nil {
		a.books.Give(&c.arrival.holder)
		c.arrival = nil
		if a.burst.Load() && a.Used() < a.limit/8 {
			a.sweepLater()
		}
	}
}
