package conn

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/fasthttp/accept"

	"golang.org/x/sys/unix"
)

// hand collects the connections that wait for a request when another program takes
// the relay's place. They stay open, so that a request that is on its way is neither
// lost nor refused: the kernel keeps it until the next program reads it.
//
//	request under way ── answered ──┐
//	waits for a request ────────────┴─▶ Conn.Read ─▶ kept: a descriptor of its own
//
// Only the goroutine that serves a connection decides, and only where nothing of a
// request has been read. So no byte is lost between two programs.
type hand struct {
	on   atomic.Bool // pairs with the Loads in Conn.Read; set before readers are woken
	mu   sync.Mutex
	kept []Kept // guarded by mu
}

// Kept is a connection that waits for a request, kept for the next program.
type Kept struct {
	FD    int        // its socket
	Begun bool       // what its listener speaks before the first request is over; see Prologue
	Told  netip.Addr // the client that a trusted proxy has told, the zero value for none
}

// HandOver has each connection that waits for a request, now or later, let go of, and
// its socket kept; see Handed. Streams end in their own way.
func (s *Set) HandOver() {
	s.hand.on.Store(true)
	s.opts.Places.WakeReaders()
}

// Handed returns the connections that were kept, whose descriptors are the caller's from
// now on. They are closed when another program is executed, unless the caller says
// otherwise.
func (s *Set) Handed() []Kept {
	s.hand.mu.Lock()
	defer s.hand.mu.Unlock()
	kept := s.hand.kept
	s.hand.kept = nil
	return kept
}

// keepTries is how often a connection tries to be kept when there is no descriptor
// for it. Each that is kept takes a second one for a moment.
const keepTries = 50

// keep keeps the connection's socket for the next program.
func (s *Set) keep(c *Conn) {
	k := Kept{Begun: !c.fresh}
	if c.Told {
		k.Told = c.Peer
	}
	raw, err := c.base.SyscallConn()
	if err != nil {
		return
	}
	for range keepTries {
		if err := raw.Control(func(from uintptr) { k.FD, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 3) }); err != nil {
			return
		}
		if err == nil {
			s.hand.mu.Lock()
			s.hand.kept = append(s.hand.kept, k)
			s.hand.mu.Unlock()
			return
		}
		time.Sleep(10 * time.Millisecond) // EMFILE: others are being closed
	}
	s.opts.Logger.Warn("a connection could not be kept for the next program: it is closed", "error", err)
}

// Idle says that the connection waits for a request, and that nothing of it was read.
func (c *Conn) Idle() {
	c.idle = true
	c.Wait()
}

// Resume says that the connection was another program's, which has kept it, and has
// waited for a request since. It has the time between two requests, and not that of a new
// connection.
func (c *Conn) Resume(k Kept) {
	c.resumed, c.fresh = true, !k.Begun
	if k.Told.IsValid() {
		c.Peer, c.Told = k.Told, true
		c.arriving.peer = accept.ClientAt(k.Told)
	}
}

// handOver has the connection kept, if it waits for a request and a next program takes
// over. The error ends its service. One with TLS can't be kept, because its keys are in
// this program: it is closed.
func (c *Conn) handOver() error {
	if !c.idle || !c.set.hand.on.Load() || c.proxied != nil && len(c.proxied.rest) > 0 {
		return nil
	}
	if c.secure == nil && !c.Evicted() {
		c.set.keep(c)
	}
	return net.ErrClosed
}

// again says whether a read that met err is to be tried again: it was woken to be
// handed over, and is within a request that is to be answered first.
func (c *Conn) again(err error) bool {
	if !c.set.hand.on.Load() || !errors.Is(err, os.ErrDeadlineExceeded) || c.cut.Load() {
		return false
	}
	c.readBy.armed = 0
	return c.idle || c.readBy.want == 0 || c.readBy.want > c.set.Now()
}
