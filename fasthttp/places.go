package fasthttp

import (
	"net"
	"sync/atomic"
	"time"

	"cowrelay/cow/share"
	"cowrelay/fasthttp/stream"
)

// places are those of the connections that may be open at the public listeners,
// or at the operators'. A client may have all of them as long as nobody else wants
// one. When all are taken, the client that holds the most gives up the connection
// that it has had for longest among those that wait for a request; and where none
// does, for a client that has clearly less, one that is in use.
type places struct {
	name   string // of the listener, a label of metrics
	ledger *share.Ledger[clientKey]
	// freed holds one when a place has become free; pairs with the waits of
	// take and of acceptor.Accept.
	freed   chan struct{}
	evicted atomic.Uint64 // connections closed to make room
	refused atomic.Uint64 // connections that found no room
	errs    [len(acceptReasons)]atomic.Uint64
}

func newPlaces(name string, most int) *places {
	return &places{name: name, ledger: share.New[clientKey](int64(most), 0), freed: make(chan struct{}, 1)}
}

type holder = share.Holder[clientKey]

// place is a connection's. A connection has it from take to give.
type place struct {
	holder holder
	tcp    *net.TCPConn
	// busy is true while a request is under way, from the end of its header to
	// the end of its reply, and for a stream to its end. Set by the goroutine that
	// serves the connection; pairs with the Load in mayGo.
	busy atomic.Bool
	// evicted is set before the connection is shut; pairs with begin and read.
	evicted atomic.Bool
	// stream is what the connection serves from its hijack on, or nil. Set by
	// the stream's start; pairs with the Loads in leave and cutOff.
	stream atomic.Pointer[stream.Stream]
}

func mayGo(h *holder) bool { return !h.Owner.(*place).busy.Load() }

// begin says that a request is under way, and whether it is the last one.
func (p *place) begin() (last bool) {
	p.busy.Store(true)
	return p.evicted.Load()
}

// wait says that the connection waits for a request.
func (p *place) wait() { p.busy.Store(false) }

// evict has the connection closed by who serves it. Only its reading side is
// shut, so that a request which arrives at this moment is still read and
// answered; without one the next read finds the end.
func (p *place) evict() {
	p.evicted.Store(true)
	p.tcp.CloseRead()
}

// readError is what a read of an evicted connection returns for the end that
// evict made. The connection is closed: a body which that cut would else be
// answered as one that its client cut.
func (p *place) readError(err error) error {
	if err != nil && p.evicted.Load() {
		p.tcp.Close()
		return net.ErrClosed
	}
	return err
}

// leave ends what the connection is in use for, in order: a stream between two
// frames, a long poll with what there is, another request with its reply unless
// its body is still to come.
func (p *place) leave() {
	if st := p.stream.Load(); st != nil {
		st.Leave()
		return
	}
	p.evict()
}

// cutOff ends it at once.
func (p *place) cutOff() {
	if st := p.stream.Load(); st != nil {
		st.CutOff()
		return
	}
	p.tcp.Close()
}

const (
	// patience is how long a new connection waits for one that is to make room.
	patience = time.Second
	// looks is how often the ledger, which looks at a bounded number of
	// connections, is asked for one that may go.
	looks = 4
)

// take gives the connection p a place, if need be one that another gives up.
// The client may have at most so many (0: no bound of its own); beyond that an
// idle one of its own has to go. It reports false where none can, or when stop
// is closed.
func (s *places) take(p *place, client clientKey, most int64, stop <-chan struct{}) bool {
	p.holder.Owner = p
	for end := time.Now().Add(patience); ; {
		own := most > 0 && s.ledger.Held(client) >= most
		if !own && s.ledger.Take(&p.holder, client, 1) {
			return true
		}
		select {
		case <-s.freed: // of earlier times
		default:
		}
		var inUse *place
		found := false
		switch {
		case own:
			found = s.makeRoomOf(client)
		case s.makeRoom():
			found = true
		default:
			inUse = s.displace(client)
			found = inUse != nil
		}
		if !found && s.ledger.Leaving() == 0 || time.Now().After(end) {
			// The last that was leaving may have gone meanwhile.
			if !own && s.ledger.Take(&p.holder, client, 1) {
				return true
			}
			s.refused.Add(1)
			return false
		}
		wait := time.Until(end)
		if inUse != nil {
			wait = stream.DisplaceTime
		}
		select {
		case <-s.freed:
		case <-time.After(wait):
			if inUse != nil {
				inUse.cutOff()
			}
		case <-stop:
			return false
		}
	}
}

// displace has a connection end that is in use, of the client that has the most,
// for one of a client that has clearly less, even with this one: less than half.
// So one's connections never push out its own, nor two clients each other by
// turns. Nil: there is none.
func (s *places) displace(client clientKey) *place {
	if 2*(s.ledger.Held(client)+1) > s.ledger.Most() {
		return nil
	}
	h := s.ledger.Victim(func(*holder) bool { return true })
	if h == nil {
		return nil
	}
	p := h.Owner.(*place)
	s.evicted.Add(1)
	p.leave()
	return p
}

// makeRoom evicts a connection, and reports whether it found one.
func (s *places) makeRoom() bool {
	return s.evict(func() *holder { return s.ledger.Victim(mayGo) })
}

// MakeRoom closes a connection that waits for a request, if there is one: for
// who needs its descriptor.
func (r *Relay) MakeRoom() { r.places.makeRoom() }

// makeRoomOf evicts one of the client's.
func (s *places) makeRoomOf(client clientKey) bool {
	return s.evict(func() *holder { return s.ledger.VictimOf(client, mayGo) })
}

func (s *places) evict(find func() *holder) bool {
	for range looks {
		if h := find(); h != nil {
			s.evicted.Add(1)
			h.Owner.(*place).evict()
			return true
		}
	}
	return false
}

// give takes the place back when the connection is closed. To give again, or
// what has none, does nothing.
func (s *places) give(p *place) {
	s.ledger.Give(&p.holder)
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
