package stream

import (
	"errors"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/share"
)

// Why Open refuses a stream, beside the errors of Env.Subscribe.
var (
	ErrFull  = errors.New("stream: as many as there may be")
	ErrShare = errors.New("stream: as many as one client may have")
)

// ShareOf is how many of limit streams or long polls one client may have: half
// of them, so that no single one can leave nothing to the others.
func ShareOf(limit int) int64 { return (int64(limit) + 1) / 2 }

// SetMost changes how many streams may be open. Those beyond a lower number go
// on; new ones are refused until there is room.
func (s *Set) SetMost(n int) {
	s.share.Store(ShareOf(n))
	s.books.SetLimits(int64(n), ShareOf(n))
}

// Opening is what a stream is to be.
type Opening struct {
	Client  uint64 // whose stream it is, for shares
	Slot    *cow.Slot
	Grant   cow.Grant // of the token that lets it in: the stream ends when it is dead
	Start   cow.Start
	IDs     frame.IDs // what its id lines are
	Chunked bool      // in transfer chunks, for HTTP/1.1
	Head    []byte    // the reply's head and the first comment: Head(Chunked), or that with more fields
	// Trimmed, if it is not nil, makes the head of a stream whose start points at what has
	// left the slot. oldest is the position where it begins.
	Trimmed func(head []byte, oldest uint64) []byte
}

// Open counts a stream in and subscribes it. Start or Abandon must follow.
// Errors: ErrFull, ErrShare and those of Env.Subscribe.
func (s *Set) Open(o Opening) (*Stream, error) {
	st := &Stream{set: s, wire: formOf(o.Chunked), control: o.Head, grant: o.Grant}
	// Subscribed below, it may be woken before it has its connection.
	st.state.Store(stateWaiting)
	st.place.Owner = st
	if err := s.enter(st, o.Client); err != nil {
		return nil, err
	}
	defer func() {
		if st.sub == nil { // also after a panic
			s.uncount(st)
		}
	}()
	sub, err := s.Subscribe(o.Slot, o.Start, o.IDs, st)
	if err != nil {
		if errors.Is(err, cow.ErrTooManyStreams) {
			s.refused.slot.Add(1)
		}
		return nil, err
	}
	s.opened.Add(1)
	st.sub, st.told = sub, sub.Position()
	if oldest, yes := sub.Trimmed(); yes && o.Trimmed != nil {
		st.control = o.Trimmed(o.Head, oldest)
	}
	if !o.Chunked {
		sub.Plain()
	}
	return st, nil
}

// Subscribe opens a cursor for a stream or a long poll. Where the slot has too
// many, the clients that have left and that the hang-ups have not named yet make
// room.
func (s *Set) Subscribe(slot *cow.Slot, start cow.Start, ids frame.IDs, w cow.Waker) (*cow.Subscriber, error) {
	sub, err := s.env.Subscribe(slot, start, ids, w)
	if errors.Is(err, cow.ErrTooManyStreams) {
		s.hangs.Sweep()
		sub, err = s.env.Subscribe(slot, start, ids, w)
	}
	return sub, err
}

// enter counts a stream in, unless there are too many. Streams whose clients
// have left, and that the hang-ups have not named yet, make room first.
func (s *Set) enter(st *Stream, client uint64) error {
	if s.count(st, client) {
		return nil
	}
	s.hangs.Sweep()
	switch {
	case s.count(st, client):
		return nil
	case s.books.Held(client) >= s.share.Load():
		s.refused.share.Add(1)
		return ErrShare
	case s.displace(st, client):
		return nil
	}
	s.refused.cap.Add(1)
	return ErrFull
}

func (s *Set) count(st *Stream, client uint64) bool {
	if !s.books.Take(&st.place, client, 1) {
		return false
	}
	s.open.Add(1)
	return true
}

func (s *Set) uncount(st *Stream) {
	s.open.Add(-1)
	s.books.Give(&st.place)
}

const (
	displaceTries = 3

	// DisplaceTime is what a stream that gives way has to end between two frames.
	DisplaceTime = 250 * time.Millisecond
)

// displace makes room for a stream of the client: the oldest stream of the
// client that has the most gives way. It does so only if this client then still
// has less than half of that. So two clients don't push each other out by turns,
// and one's streams never push out its own. A stream that does not end in time
// is cut.
func (s *Set) displace(st *Stream, client uint64) bool {
	for range displaceTries {
		if 2*(s.books.Held(client)+1) > s.books.Most() {
			return false
		}
		h := s.books.Victim(func(h *share.Holder[uint64]) bool {
			return h.Owner.(*Stream).wroteNs.Load() != 0 // it has its connection
		})
		if h == nil {
			return false
		}
		victim := h.Owner.(*Stream)
		victim.Leave()
		for end := time.Now().Add(DisplaceTime); !victim.closed.Load() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		victim.CutOff()
		if s.count(st, client) {
			return true
		}
	}
	return false
}
