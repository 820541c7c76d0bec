package scenario

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// A StreamReader is one stream of fanout.
type StreamReader struct {
	f    *fanoutRound
	feed Feed
	// nowNs is the time of the last read, in nanoseconds since f.began. Frames
	// that came with one read were delivered together. It belongs to the
	// goroutine that reads.
	nowNs int64
	_     [64]byte
	// n is how many events have come. The stream's goroutine writes it, and the
	// round reads it.
	n atomic.Int64
	_ [64]byte
}

// A Feed brings the deliveries of one stream.
type Feed interface {
	// Run gives each delivery to CheckEvent, or to check, of its StreamReader.
	// It returns when the stream ends or a delivery is wrong.
	Run() error
	// Close ends Run. Another goroutine calls it.
	Close()
}

// openStreams opens all streams of a round.
func (r *FanoutRunner) openStreams(ctx context.Context, f *fanoutRound, v Venue) ([]*StreamReader, error) {
	var out []*StreamReader
	for range r.e.Config.Streams {
		st := &StreamReader{f: f}
		var err error
		if st.feed, err = v.Stream(ctx, st); err != nil {
			return out, fmt.Errorf("cannot open a stream: %w", err)
		}
		out = append(out, st)
	}
	return out, nil
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

// lagEvery says that one delivery in so many is timed.
const lagEvery = 64

// run reads until the stream ends or a frame is wrong.
func (st *StreamReader) run() {
	if err := st.feed.Run(); err != nil && !st.f.closed.Load() {
		st.f.log.Add(fmt.Errorf("a stream ended: %w", err))
	}
}

// Arrived notes the time: what is checked next has just come.
func (st *StreamReader) Arrived() { st.nowNs = int64(time.Since(st.f.began)) }

// CheckEvent is check for an event without an id beside it.
func (st *StreamReader) CheckEvent(event []byte) error { return st.check(st.f.t.IDOf(event), event) }

// check checks one delivery: it is an event of this round, and all other
// streams have it at the same place. All bytes are compared for one in a
// thousand.
func (st *StreamReader) check(id, data []byte) error {
	f, pos := st.f, st.n.Load()
	num, ok := f.t.NumberOfID(id)
	i := num - f.base
	if !ok || i >= uint64(len(f.order)) || pos >= int64(len(f.order)) {
		return fmt.Errorf("a stream carries id %.80q, which was not posted in this round", id)
	}
	at := &f.order[pos]
	if v := at.Load(); v == 0 && !at.CompareAndSwap(0, num+1) || v != 0 && v != num+1 {
		if at.Load() != num+1 {
			return fmt.Errorf("position %d: event %d at one stream, event %d at another", pos, at.Load()-1-f.base, i)
		}
	}
	if pos%1000 == 0 {
		if n, err := f.t.Number(data); err != nil || n != num {
			return fmt.Errorf("event %d came with other bytes than were posted", i)
		}
	}
	if pos%lagEvery == 0 {
		lag := time.Duration(st.nowNs - f.sentNs[i].Load())
		f.mu.Lock()
		f.hist.Record(lag)
		f.mu.Unlock()
	}
	st.n.Store(pos + 1)
	return nil
}
