package bench

import (
	"context"
	"fmt"
	"io"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// A streamReader is one stream of fanout.
type streamReader struct {
	f     *fanoutRound
	c     *rawConn
	frame *frameScanner
	// now is the time of the last read, in ns since f.began: frames that came
	// in one read were delivered together.
	now int64
	_   [64]byte
	// n is how many events have come; written by run, read by the round.
	n atomic.Int64
	_ [64]byte
}

// openStreams opens all streams of a round and returns when the head of each
// has come: from then on it must get every event.
func (r *fanoutRunner) openStreams(ctx context.Context, f *fanoutRound, sl slot) ([]*streamReader, error) {
	req := r.s.requestHead("GET", "/v1/events/"+sl.id+"/stream", sl.token, 0)
	var out []*streamReader
	for range r.e.cfg.Streams {
		c, err := dialRaw(ctx, r.s.addr, apiBuffer)
		if err != nil {
			return out, err
		}
		st := &streamReader{f: f, c: c}
		out = append(out, st)
		_ = c.c.SetReadDeadline(time.Now().Add(answerGrace))
		h, err := c.send(req)
		if err != nil {
			return out, fmt.Errorf("cannot open a stream: %w", err)
		}
		if h.status != 200 {
			return out, fmt.Errorf("cannot open a stream: %w", c.statusError(h, 200))
		}
		_ = c.c.SetReadDeadline(time.Time{})
		var body io.Reader = c.br
		if h.chunked {
			body = httputil.NewChunkedReader(c.br)
		} else if c.br.Buffered() == 0 {
			body = c.c // past the buffer: one copy less
		}
		st.frame = newFrameScanner(body)
		st.frame.read = func() { st.now = int64(time.Since(f.began)) }
	}
	return out, nil
}

// lagEvery is how many deliveries a stream lets pass between two that it times.
const lagEvery = 64

// run reads until the stream ends or a frame is wrong.
func (st *streamReader) run() {
	f := st.f
	for {
		id, data, err := st.frame.next()
		if err != nil {
			if !f.closed.Load() {
				f.log.add(fmt.Errorf("a stream ended: %w", err))
			}
			return
		}
		if err := st.check(id, data); err != nil {
			f.log.add(err)
			return
		}
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
