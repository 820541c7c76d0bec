package bench

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// A streamReader is one stream of fanout.
type streamReader struct {
	f    *fanoutRound
	feed feed
	// now is the time of the last read, in ns since f.began: frames that came
	// in one read were delivered together.
	now int64
	_   [64]byte
	// n is how many events have come; written by run, read by the round.
	n atomic.Int64
	_ [64]byte
}

// A feed brings the deliveries of one stream.
type feed interface {
	// run gives every delivery to the check of its streamReader until the
	// stream ends or a delivery is wrong.
	run() error
	// close ends run; called from another goroutine.
	close()
}

// openStreams opens all streams of a round.
func (r *fanoutRunner) openStreams(ctx context.Context, f *fanoutRound, v venue) ([]*streamReader, error) {
	var out []*streamReader
	for range r.e.cfg.Streams {
		st := &streamReader{f: f}
		var err error
		if st.feed, err = v.stream(ctx, st); err != nil {
			return out, fmt.Errorf("cannot open a stream: %w", err)
		}
		out = append(out, st)
	}
	return out, nil
}

// httpVenue is a slot of a side.
type httpVenue struct {
	e  *env
	s  *side
	sl slot
}

func (v *httpVenue) begin(ctx context.Context) error {
	slots, err := v.s.allocateN(ctx, 1)
	if err == nil {
		v.sl = slots[0]
	}
	return err
}

func (v *httpVenue) poster(context.Context) (numberPoster, error) {
	return newPoster(v.e, v.s, v.sl, 0), nil
}

// stream returns when the head of the stream has come: from then on it must get
// every event.
func (v *httpVenue) stream(ctx context.Context, st *streamReader) (feed, error) {
	c, err := dialRaw(ctx, v.s.addr, apiBuffer)
	if err != nil {
		return nil, err
	}
	body, err := c.openStream(v.s.streamRequest(v.sl))
	if err != nil {
		c.close()
		return nil, err
	}
	sse := &sseFeed{st: st, c: c, frame: newFrameScanner(body), ownIDs: v.s.dialect != nil}
	sse.frame.read = func() { st.now = int64(time.Since(st.f.began)) }
	return sse, nil
}

// openStream opens a stream and returns what carries its frames.
func (c *rawConn) openStream(req []byte) (io.Reader, error) {
	_ = c.c.SetReadDeadline(time.Now().Add(answerGrace))
	h, err := c.send(req)
	if err != nil {
		return nil, err
	}
	if h.status != 200 {
		return nil, c.statusError(h, 200)
	}
	_ = c.c.SetReadDeadline(time.Time{})
	var body io.Reader = c.c
	if n := c.br.Buffered(); n > 0 { // what comes then passes the buffer: one copy less
		body = io.MultiReader(io.LimitReader(c.br, int64(n)), c.c)
	}
	if h.chunked {
		body = &chunkReader{r: body}
	}
	return body, nil
}

// An sseFeed is a stream of server-sent events.
type sseFeed struct {
	st     *streamReader
	c      *rawConn
	frame  *frameScanner
	ownIDs bool // the ids of frames are the server's, not the events'
}

func (s *sseFeed) close() { s.c.close() }

func (s *sseFeed) run() error {
	for {
		id, data, err := s.frame.next()
		if err != nil {
			return err
		}
		if s.ownIDs {
			id = s.st.f.t.idOf(data)
		}
		if err := s.st.check(id, data); err != nil {
			return err
		}
	}
}

// lagEvery is how many deliveries a stream lets pass between two that it times.
const lagEvery = 64

// run reads until the stream ends or a frame is wrong.
func (st *streamReader) run() {
	if err := st.feed.run(); err != nil && !st.f.closed.Load() {
		st.f.log.add(fmt.Errorf("a stream ended: %w", err))
	}
}

// check checks one delivery: an event of this round, at the place of the order
// where all streams have it. All its bytes are checked for one in a thousand.
func (st *streamReader) check(id, data []byte) error {
	f, pos := st.f, st.n.Load()
	num, ok := f.t.numberOfID(id)
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
		if n, err := f.t.number(data); err != nil || n != num {
			return fmt.Errorf("event %d came with other bytes than were posted", i)
		}
	}
	if pos%lagEvery == 0 {
		lag := time.Duration(st.now - f.sent[i].Load())
		f.mu.Lock()
		f.hist.record(lag)
		f.mu.Unlock()
	}
	st.n.Store(pos + 1)
	return nil
}
