package accept

import (
	"sync/atomic"
	"time"

	"cowrelay/cow/share"
)

// Places are the connections that may be open at once at a kind of listener. A
// client may have all of them as long as no other client wants one. When all are
// taken, a connection of the client that has the most makes room: the oldest of
// those that wait for a request. If none waits, one that is in use ends, but only
// for a client that has clearly less.
type Places struct {
	Name   string // of the listeners, a label of metrics
	ledger *share.Ledger[Client]
	// freed holds one when a place has become free; pairs with the waits of
	// Take and of Listener.Accept.
	freed   chan struct{}
	evicted atomic.Uint64 // connections closed to make room
	refused atomic.Uint64 // connections that found no room
	errs    [len(acceptReasons)]atomic.Uint64
}

// NewPlaces returns so many places.
func NewPlaces(name string, most int) *Places {
	return &Places{Name: name, ledger: share.New[Client](int64(most), 0), freed: make(chan struct{}, 1)}
}

// Used is how many places are taken.
func (s *Places) Used() int64 { return s.ledger.Used() }

// Largest is how many the client has that has the most.
func (s *Places) Largest() int64 { return s.ledger.Most() }

// Evicted counts connections that were closed to make room.
func (s *Places) Evicted() uint64 { return s.evicted.Load() }

// Refused counts connections that found no room.
func (s *Places) Refused() uint64 { return s.refused.Load() }

// Busy counts places with a request under way. It is for tests.
func (s *Places) Busy() (n int) {
	s.ledger.Victim(func(h *holder) bool {
		if !mayGo(h) {
			n++
		}
		return false
	})
	return n
}

const (
	// patience is how long a new connection waits for one that is to make room.
	patience = time.Second
	// looks is how often the ledger is asked for a connection that may go. It
	// looks at a bounded number of them each time.
	looks = 4
	// leaveTime is how long a connection in use has to end in order.
	leaveTime = 250 * time.Millisecond
)

// Take gives the connection a place, p, if need be one that another connection
// gives up. A client may have at most so many (0: no bound of its own); beyond
// that an idle one of its own has to go. Take reports false if none can go, or
// when stop is closed.
func (s *Places) Take(p *Place, socket Socket, client Client, most int64, stop <-chan struct{}) bool {
	p.socket, p.holder.Owner = socket, p
	for end := time.Now().Add(patience); ; {
		own := most > 0 && s.ledger.Held(client) >= most
		if !own && s.ledger.Take(&p.holder, client, 1) {
			return true
		}
		select {
		case <-s.freed: // of earlier times
		default:
		}
		var inUse *Place
		found := false
		switch {
		case own:
			found = s.makeRoomOf(client)
		case s.MakeRoom():
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
			wait = leaveTime
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

// displace ends a connection in use of the client that has the most. It does so
// only for a client that will have less than half as many. So a client's
// connections never push out its own, and two clients do not push each other out
// by turns. Nil: there is none.
func (s *Places) displace(client Client) *Place {
	if 2*(s.ledger.Held(client)+1) > s.ledger.Most() {
		return nil
	}
	h := s.ledger.Victim(func(*holder) bool { return true })
	if h == nil {
		return nil
	}
	p := h.Owner.(*Place)
	s.evicted.Add(1)
	p.leave()
	return p
}

// MakeRoom closes a connection that waits for a request, and reports whether it
// found one.
func (s *Places) MakeRoom() bool {
	return s.evict(func() *holder { return s.ledger.Victim(mayGo) })
}

// makeRoomOf closes one of the client's.
func (s *Places) makeRoomOf(client Client) bool {
	return s.evict(func() *holder { return s.ledger.VictimOf(client, mayGo) })
}

func (s *Places) evict(find func() *holder) bool {
	for range looks {
		if h := find(); h != nil {
			s.evicted.Add(1)
			h.Owner.(*Place).evict()
			return true
		}
	}
	return false
}

// Give takes the place back when the connection is closed. To give it twice, or
// one that was never taken, does nothing.
func (s *Places) Give(p *Place) {
	s.ledger.Give(&p.holder)
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

// WakeReaders has the reads of all connections that wait return, with the error of a
// deadline. Streams are left alone, and so are connections that are not ready for a
// request yet.
func (s *Places) WakeReaders() {
	var all []*Place
	s.ledger.Each(func(h *holder) { all = append(all, h.Owner.(*Place)) })
	for _, p := range all {
		p.wakeReader()
	}
}
