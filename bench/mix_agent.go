package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"
)

// An agent of mix: a poller, a poster and the reader of a stream, each a
// goroutine of its own.
type agent struct {
	r    *mixRunner
	i    int
	slot slot

	polling link
	req     []byte
	numAt   int    // of the cursor in req
	anew    []byte // the request without one
	buf     []byte
	polled  []uint64 // numbers of all events that polls got, in their order
	before  int      // how many of them before this round

	posting link

	stream   *rawConn
	frames   *frameScanner
	streamed []uint64 // numbers that the stream brought in this round
}

func newAgent(r *mixRunner, i int) *agent {
	a := &agent{
		r: r, i: i, slot: r.slots[i],
		polling: link{addr: r.s.addr, buffer: apiBuffer, from: r.from},
		posting: link{addr: r.s.addr, buffer: apiBuffer, from: r.from},
	}
	// The id of an event that there is not reads from the oldest.
	a.req, a.numAt = r.s.pullRequest(a.slot, r.e.tmpl.appendID(nil, math.MaxUint64), r.e.cfg.Page)
	a.anew = bytes.Clone(a.req)
	return a
}

// A historian posts the events that slots have from the start.
type historian struct {
	link
	r *mixRunner
}

func newHistorian(r *mixRunner) *historian {
	return &historian{link: link{addr: r.s.addr, buffer: apiBuffer, from: r.from}, r: r}
}

func (h *historian) do(ctx context.Context, n int) error {
	req := h.r.s.newPost(h.r.slots[n%len(h.r.slots)], h.r.e.tmpl)
	return h.try(ctx, func(c *rawConn) error { return c.store(req.number(uint64(n))) })
}

// readHistory polls what the slot has from the start.
func (a *agent) readHistory(ctx context.Context) error {
	defer a.polling.close()
	seen := map[uint64]bool{}
	for len(seen) < mixHistory {
		err := a.polling.try(ctx, func(c *rawConn) error {
			before := len(seen)
			err := a.page(c, a.req, func(n uint64) error {
				if n%uint64(len(a.r.slots)) != uint64(a.i) || seen[n] {
					return fmt.Errorf("event %d was not posted to this slot, or came twice", n)
				}
				seen[n] = true
				a.polled = append(a.polled, n)
				putHex(a.req[a.numAt:], n)
				return nil
			})
			if err == nil && len(seen) == before {
				err = fmt.Errorf("a slot has %d events of %d", len(seen), mixHistory)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sleepUntil waits until due and records how late it is woken.
func (m *mixRound) sleepUntil(ctx context.Context, due time.Time) error {
	if left := time.Until(due); left > 0 {
		t := time.NewTimer(left)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		late := time.Since(due)
		m.mu.Lock()
		m.lag.record(late)
		m.mu.Unlock()
	}
	return ctx.Err()
}

// late says that what was due at due can't be done any more in this round.
func (m *mixRound) late(due time.Time, h histogram) bool {
	now := time.Now()
	if now.Before(m.end.Add(unsentGrace)) {
		return false
	}
	if !due.Before(m.from) {
		m.unsent.Add(1)
		m.mu.Lock()
		h.record(now.Sub(due))
		m.mu.Unlock()
	}
	return true
}

// pollAll polls at its times, which are spread over the agents.
func (a *agent) pollAll(ctx context.Context, m *mixRound) {
	defer a.polling.close()
	due := m.begin.Add(m.poll * time.Duration(a.i) / time.Duration(len(m.agents)))
	for k := a.i; due.Before(m.end); k, due = k+1, due.Add(m.poll) {
		pull, hist := a.pull, m.polls
		if k%mixAnew == 0 {
			pull, hist = a.pullAnew, m.anew
		}
		if m.sleepUntil(ctx, due) != nil {
			return
		}
		if m.late(due, hist) {
			continue
		}
		err := a.polling.try(ctx, func(c *rawConn) error { return pull(c, m) })
		a.polling.close()
		if errors.Is(err, net.ErrClosed) && a.polling.stopped.Load() {
			return
		}
		m.done(hist, due, err)
	}
}

// pull gets what came after the last event that a poll got, and checks it.
func (a *agent) pull(c *rawConn, m *mixRound) error {
	return a.page(c, a.req, func(n uint64) error {
		i, err := m.event(n, a)
		if err != nil {
			return err
		}
		if m.polled[i] {
			return fmt.Errorf("a poll got event %d again", n)
		}
		m.polled[i] = true
		a.polled = append(a.polled, n)
		putHex(a.req[a.numAt:], n)
		return nil
	})
}

// leastPage is how many bytes of events a page has at least, where there are
// so many: a relay may cut a page of large events short.
const leastPage = 1 << 20

// pullAnew reads from the oldest event: what polls got before, in that order,
// and perhaps some more.
func (a *agent) pullAnew(c *rawConn, m *mixRound) error {
	at := 0
	err := a.page(c, a.anew, func(n uint64) error {
		if at < len(a.polled) && a.polled[at] != n {
			return fmt.Errorf("a poll from the oldest got event %d at position %d, where a poll before got event %d", n, at, a.polled[at])
		}
		if at++; at <= len(a.polled) {
			return nil
		}
		_, err := m.event(n, a)
		return err
	})
	if least := min(len(a.polled), a.r.e.cfg.Page, max(1, leastPage/a.r.e.tmpl.size())); err == nil && at < least {
		err = fmt.Errorf("a poll from the oldest got %d events, want %d", at, least)
	}
	return err
}

// page gets a page and gives the number of each event to take.
func (a *agent) page(c *rawConn, req []byte, take func(n uint64) error) error {
	h, err := c.exchange(req)
	if err != nil {
		return err
	}
	if h.status != 200 {
		return c.statusError(h, 200)
	}
	if a.buf, err = c.body(a.buf, h.length); err != nil {
		return err
	}
	t := a.r.e.tmpl
	size, b := t.size(), a.buf
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' || len(b) > 2 && (len(b)-1)%(size+1) != 0 {
		return fmt.Errorf("a poll got %d bytes that are no array of events of %d bytes", len(b), size)
	}
	for b = b[1:]; len(b) > size; b = b[size+1:] {
		n, err := t.number(b[:size])
		if err != nil {
			return fmt.Errorf("a poll got an event: %w", err)
		}
		if err := take(n); err != nil {
			return err
		}
	}
	return nil
}

// postAll posts its bursts at their times, which are spread over the agents.
func (a *agent) postAll(ctx context.Context, m *mixRound) {
	defer a.posting.close()
	first := m.begin.Add(m.burst * time.Duration(a.i) / time.Duration(len(m.agents)))
	var req postRequest
	for k := range m.each {
		due := first.Add(m.burst*time.Duration(k/mixPosts) + m.gap*time.Duration(k%mixPosts))
		if !due.Before(m.end) {
			continue // the rest of a burst that the end cuts
		}
		if m.sleepUntil(ctx, due) != nil {
			return
		}
		if m.late(due, m.posts) {
			continue
		}
		i := a.i*m.each + k
		if k%mixPosts == 0 || req.bytes == nil {
			a.posting.close()
			req = a.r.s.newPost(m.slots[m.reader(i)], a.r.e.tmpl)
		}
		err := a.posting.try(ctx, func(c *rawConn) error {
			m.sent[i].Store(int64(time.Since(m.begin)))
			return c.store(req.number(m.base + uint64(i)))
		})
		if errors.Is(err, net.ErrClosed) && a.posting.stopped.Load() {
			return
		}
		if err == nil {
			m.acked[i] = true
			m.ackedN.Add(1)
		}
		if k%mixPosts == mixPosts-1 {
			a.posting.close()
		}
		m.done(m.posts, due, err)
	}
}

// begin forgets the last round and opens the agent's stream: events that are
// posted from now on come.
func (a *agent) begin(ctx context.Context) error {
	a.before, a.streamed = len(a.polled), a.streamed[:0]
	a.polling.stopped.Store(false)
	a.posting.stopped.Store(false)
	c, err := dialFrom(ctx, a.r.from, a.r.s.addr, apiBuffer)
	if err != nil {
		return err
	}
	a.stream = c
	defer context.AfterFunc(ctx, c.close)()
	body, err := c.openStream(a.r.s.streamRequest(a.slot))
	if err != nil {
		return err
	}
	a.frames = newFrameScannerSize(body, 2*a.r.e.tmpl.size()+apiBuffer)
	return nil
}

func (a *agent) closeStream() {
	if a.stream != nil {
		a.stream.close()
	}
}

// read reads the agent's stream until it ends, and checks every event.
func (a *agent) read(m *mixRound) {
	for {
		id, data, err := a.frames.next()
		if err == nil {
			err = a.deliver(m, id, data)
		} else if m.closed.Load() {
			return
		} else {
			err = fmt.Errorf("a stream ended: %w", err)
		}
		if err != nil {
			m.log.add(err)
			return
		}
	}
}

// deliver takes one event from the stream.
func (a *agent) deliver(m *mixRound, id, data []byte) error {
	n, err := a.r.e.tmpl.number(data)
	if err != nil {
		return fmt.Errorf("a stream carries an event: %w", err)
	}
	if of, ok := a.r.e.tmpl.numberOfID(id); !ok || of != n {
		return fmt.Errorf("a stream carries event %d under the id %.80q", n, id)
	}
	i, err := m.event(n, a)
	if err != nil {
		return err
	}
	if m.streamed[i] {
		return fmt.Errorf("a stream carries event %d again", n)
	}
	m.streamed[i] = true
	a.streamed = append(a.streamed, n)
	m.streamedN.Add(1)
	m.done(m.deliver, m.begin.Add(time.Duration(m.sent[i].Load())), nil)
	return nil
}
