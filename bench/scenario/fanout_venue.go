package scenario

import (
	"context"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// A Venue is where a round of fan-out takes place: a slot of a server over
// HTTP, or what a peer has in its place.
type Venue interface {
	// Begin makes a new slot.
	Begin(ctx context.Context) error
	// Poster returns a poster to that slot.
	Poster(ctx context.Context) (NumberPoster, error)
	// Stream opens a stream of that slot for st. Once it has returned, the
	// stream gets every later event.
	Stream(ctx context.Context, st *StreamReader) (Feed, error)
}

// A NumberPoster posts the events of the run's template by their numbers, one
// at a time.
type NumberPoster interface {
	PostNumber(ctx context.Context, n uint64) error
	// Interrupt ends a post that waits. Another goroutine calls it.
	Interrupt()
	Close()
}

// An httpVenue is a slot of a server over HTTP.
type httpVenue struct {
	e  *run.Env
	s  *load.Server
	sl load.Slot
}

func (v *httpVenue) Begin(ctx context.Context) error {
	slots, err := v.s.AllocateN(ctx, 1)
	if err == nil {
		v.sl = slots[0]
	}
	return err
}

func (v *httpVenue) Poster(context.Context) (NumberPoster, error) {
	return load.NewPoster(v.e.Template, v.s, v.sl, 0), nil
}

// Stream returns when the head of the stream has come. From then on the stream
// must get every event.
func (v *httpVenue) Stream(ctx context.Context, st *StreamReader) (Feed, error) {
	c, err := wire.Dial(ctx, v.s.Addr, wire.SmallBuffer)
	if err != nil {
		return nil, err
	}
	body, err := c.OpenStream(v.s.StreamRequest(v.sl))
	if err != nil {
		c.Close()
		return nil, err
	}
	sse := &sseFeed{st: st, c: c, frame: wire.NewFrames(body), ownIDs: v.s.Dialect != nil}
	sse.frame.OnRead = st.Arrived
	return sse, nil
}

// An sseFeed is a stream of server-sent events.
type sseFeed struct {
	st     *StreamReader
	c      *wire.Conn
	frame  *wire.Frames
	ownIDs bool // the ids of frames are not those of events
}

func (s *sseFeed) Close() { s.c.Close() }

func (s *sseFeed) Run() error {
	for {
		id, data, err := s.frame.Next()
		if err != nil {
			return err
		}
		if s.ownIDs {
			id = s.st.f.t.IDOf(data)
		}
		if err := s.st.check(id, data); err != nil {
			return err
		}
	}
}
