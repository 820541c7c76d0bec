package fasthttp

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"
)

const (
	// readBuffer is what a connection reads ahead, and the most that a header may
	// take.
	readBuffer = 8 << 10
	// smallBody is the most bytes of a body that are read before the handler runs.
	// Bodies up to that are not booked by their length.
	smallBody = 8 << 10
	// unfinishedBytes is what a request pins that has begun to arrive and waits for
	// more: buffers, a header half read, a small body, the goroutine's stack.
	unfinishedBytes = 48 << 10
	// fieldBytes is what each line of a header pins beyond its text.
	fieldBytes = 128

	// A request that has waited for grace gives way if it came slower than slow,
	// in bytes a second.
	grace = 500 * time.Millisecond
	slow  = 64 << 10
)

// underway keeps the books of the memory of requests that have not arrived as a
// whole. A request whose header and small body come at once is not in them. One
// that has to be waited for is: a few are only counted, which costs no lock, and
// beyond that each is booked for its client, as is every longer body, by its
// length before it is read or by pieces when it comes in chunks.
//
// One client has at most half. Where there is no room, a request of the client
// that has the most gives way: the oldest that is slow, or any if the one that
// needs room has less, that included; and an unfinished header, of which nobody
// knows whether it may ask for anything, gives way to a body that may come. So a
// client that takes little is served whatever others do, also those behind its
// address.
type underway struct {
	relay  *Relay
	limit  int64 // bytes in all
	booked *share.Ledger[accept.Client]
	share  int64 // of booked, for one client

	loose    atomic.Int64 // requests that are only counted
	looseMax int64

	refused atomic.Uint64 // requests that found no room
	cut     atomic.Uint64 // requests that gave way

	// burst is set when more than half was in use. When that is over, what pools
	// and runtime still have of it is given back.
	burst   atomic.Bool
	sweepMu sync.Mutex
	sweep   *time.Timer
}

func newUnderway(r *Relay, limit int64) *underway {
	u := &underway{relay: r, limit: limit, looseMax: limit / 4 / unfinishedBytes}
	booked := limit - u.looseMax*unfinishedBytes
	u.share = booked / 2
	u.booked = share.New[accept.Client](booked, u.share)
	return u
}

// used returns the bytes in use.
func (u *underway) used() int64 { return u.booked.Used() + u.loose.Load()*unfinishedBytes }

// arrival is what a request that is arriving has booked. It is for one request
// alone, so that who makes room can give back for it at any time.
type arrival struct {
	holder share.Holder[accept.Client]
	conn   *conn
	client accept.Client
	bytes  int64        // the connection's goroutine's
	since  int64        // nanoseconds since the relay was made
	got    atomic.Int64 // bytes read since
	// head is true while the header is not there as a whole. Set by the
	// connection's goroutine; pairs with the Load in victim.
	head atomic.Bool
}

// wait books a request that has begun to arrive and of which more has to be
// waited for. c is the connection's own goroutine's.
func (u *underway) wait(c *conn) error {
	if c.loose || c.arrival != nil {
		return nil
	}
	if c.lines <= maxFields {
		if u.loose.Add(1) <= u.looseMax {
			c.loose = true
			return nil
		}
		u.loose.Add(-1)
	}
	if !u.book(c, accept.ClientAt(c.peer()), unfinishedBytes+int64(c.lines)*fieldBytes, !c.inBody) {
		c.cut.Store(true) // for those who see no error of ours
		return refusal.ManyBytes
	}
	return nil
}

// body books n bytes of a body, in all, for the client. What the request had
// booked as one that waits is included.
func (u *underway) body(c *conn, client accept.Client, n int64) bool {
	n += unfinishedBytes
	if a := c.arrival; a != nil {
		a.head.Store(false)
		if a.client == client {
			return u.grow(a, n-a.bytes)
		}
		u.booked.Give(&a.holder) // it was the proxy's
		c.arrival = nil
	}
	if !u.book(c, client, n, false) {
		return false
	}
	if c.loose {
		c.loose = false
		u.loose.Add(-1)
	}
	return true
}

func (u *underway) book(c *conn, client accept.Client, n int64, head bool) bool {
	a := &arrival{conn: c, client: client, since: u.now()}
	a.head.Store(head)
	a.holder.Owner = a
	if !u.find(a, n, func() bool { return u.booked.Take(&a.holder, client, n) }) {
		return false
	}
	a.bytes = n
	c.arrival = a
	return true
}

func (u *underway) grow(a *arrival, n int64) bool {
	if n <= 0 {
		return true
	}
	if !u.find(a, n, func() bool { return u.booked.Grow(&a.holder, n) }) {
		return false
	}
	a.bytes += n
	return true
}

// victims is how many requests may give way for one.
const victims = 64

// find takes n bytes for a, if need be from others.
func (u *underway) find(a *arrival, n int64, take func() bool) bool {
	for range victims {
		if a.conn.cut.Load() {
			return false // it gave way itself
		}
		if take() {
			if !u.burst.Load() && u.used() > u.limit/2 {
				u.burst.Store(true)
			}
			return true
		}
		v := u.victim(a, n)
		if v == nil {
			break
		}
		// Given back at once: its goroutine drops the bytes as soon as it runs.
		v.giveWay()
		u.booked.Give(&v.holder)
		u.cut.Add(1)
	}
	u.burst.Store(true)
	u.refused.Add(1)
	return false
}

// victim names a request that is to give way for n bytes of a, or nil.
func (u *underway) victim(a *arrival, n int64) *arrival {
	now := u.now()
	yields := func(h *share.Holder[accept.Client]) bool {
		v := h.Owner.(*arrival)
		age := time.Duration(now - v.since)
		return v != a && (v.head.Load() && !a.head.Load() ||
			age > u.relay.opts.grace && v.got.Load() < int64(age.Seconds()*slow))
	}
	held := u.booked.Held(a.client) + n
	var h *share.Holder[accept.Client]
	if held > u.share {
		h = u.booked.VictimOf(a.client, yields)
	} else {
		most := u.booked.Most()
		h = u.booked.Victim(func(h *share.Holder[accept.Client]) bool {
			return most > held && h.Owner.(*arrival).client != a.client || yields(h)
		})
	}
	if h == nil {
		return nil
	}
	return h.Owner.(*arrival)
}

// giveWay ends the request: whoever reads it hears refusal.ManyBytes, now or with
// the next read. First the mark, then the deadline: conn.Read sets its own
// deadline first and looks at the mark second.
func (a *arrival) giveWay() {
	a.conn.cut.Store(true)
	a.conn.TCPConn.SetReadDeadline(time.Unix(1, 0))
}

// settle gives back what the request has, once it has arrived or is given up.
func (u *underway) settle(c *conn) {
	if c.loose {
		c.loose = false
		u.loose.Add(-1)
	}
	if c.arrival != nil {
		u.booked.Give(&c.arrival.holder)
		c.arrival = nil
		if u.burst.Load() && u.used() < u.limit/8 {
			u.sweepLater()
		}
	}
}

func (u *underway) now() int64 { return int64(time.Since(u.relay.started)) }

// calm is how long after a burst its memory is given back to the system. What
// the burst left is in pools, which let go of it in two collections, and a relay
// that does little collects every two minutes.
const calm = 3 * time.Second

func (u *underway) sweepLater() {
	u.sweepMu.Lock()
	defer u.sweepMu.Unlock()
	if u.sweep == nil {
		u.sweep = time.AfterFunc(calm, func() {
			u.sweepMu.Lock()
			u.sweep = nil
			u.sweepMu.Unlock()
			if u.used() < u.limit/8 && u.burst.CompareAndSwap(true, false) {
				runtime.GC()
				debug.FreeOSMemory()
			}
		})
	}
}

// stop ends what would run later.
func (u *underway) stop() {
	u.sweepMu.Lock()
	defer u.sweepMu.Unlock()
	if u.sweep != nil {
		u.sweep.Stop()
	}
}
