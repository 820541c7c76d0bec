package poll

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/stream"
)

// ErrFull is why Open refuses a poll: there are as many as there may be, and none
// could give way.
var ErrFull = errors.New("poll: as many as there may be")

// Set keeps the books of all polls. NewSet makes it; it must not be copied.
type Set struct {
	subscribe Subscribe
	hangs     *stream.Hangups // which clients have left
	books     *share.Ledger[accept.Client]
	share     atomic.Int64 // how many one client may have
	ended     [Ends]atomic.Uint64
	refused   struct{ cap, slot atomic.Uint64 }
}

// Subscribe opens a cursor into a slot; see stream.Set.Subscribe.
type Subscribe func(slot *cow.Slot, start cow.Start, ids frame.IDs, w cow.Waker) (*cow.Subscriber, error)

// NewSet returns a set without polls. hangs watches their clients. It admits none
// before SetMost.
func NewSet(subscribe Subscribe, hangs *stream.Hangups) *Set {
	return &Set{subscribe: subscribe, hangs: hangs, books: share.New[accept.Client](0, 0)}
}

// SetMost changes how many polls may wait. Those beyond a lower number wait on,
// until a new one comes, to which they give way.
func (s *Set) SetMost(n int) {
	s.share.Store(stream.ShareOf(n))
	s.books.SetLimits(int64(n), stream.ShareOf(n))
}

// Len is how many polls wait now.
func (s *Set) Len() int64 { return s.books.Used() }

// Clients is how many clients have polls.
func (s *Set) Clients() int { return s.books.Clients() }

// Held is how many polls a client has.
func (s *Set) Held(client accept.Client) int64 { return s.books.Held(client) }

// Ended counts the polls that ended so.
func (s *Set) Ended(why End) uint64 { return s.ended[why].Load() }

// Refused counts the polls that were refused: because none could give way, and
// because the slot has as many subscribers as it may.
func (s *Set) Refused() (cap, slot uint64) { return s.refused.cap.Load(), s.refused.slot.Load() }

// Open has a poll of the client hear of the slot, and counts it in. It is in the
// slot first, so that it has what end takes away before anybody can find it. c is
// the client's connection, or nil if it can't be watched. Errors: ErrFull and
// those of cow.Store.Subscribe.
func (s *Set) Open(slot *cow.Slot, client accept.Client, c syscall.Conn) (*Poll, error) {
	p := &Poll{set: s, wake: make(chan struct{}, 1), start: time.Now()}
	p.place.Owner = p
	var err error
	if p.sub, err = s.subscribe(slot, cow.Newest(), frame.Unread, p); err != nil {
		if errors.Is(err, cow.ErrTooManyStreams) {
			s.refused.slot.Add(1)
		}
		return nil, err
	}
	if !s.count(p, client) {
		p.sub.Close()
		s.refused.cap.Add(1)
		return nil, ErrFull
	}
	if c != nil {
		// A client that has sent its next request already has not left.
		if raw, err := c.SyscallConn(); err == nil && s.hangs.Watch(p, &p.watch, raw, false) {
			p.conn = raw
		}
	}
	return p, nil
}

// count counts a poll in. Where there are too many, the oldest gives way: of its
// own client if that has its share, else of the client that has the most. Its
// place is free as soon as it is ended, so nobody waits, and there are never more
// than there may be.
func (s *Set) count(p *Poll, client accept.Client) bool {
	for !s.books.Take(&p.place, client, 1) {
		var victim *share.Holder[accept.Client]
		why := EndCap
		if s.books.Held(client) >= s.share.Load() {
			why, victim = EndShare, s.books.VictimOf(client, anyPoll)
		} else {
			victim = s.books.Victim(anyPoll)
		}
		if victim == nil {
			return false
		}
		victim.Owner.(*Poll).end(why)
	}
	return true
}

func anyPoll(*share.Holder[accept.Client]) bool { return true }
