package mix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

func newAgent(r *runner, i int) *agent {
	a := &agent{
		r: r, i: i, slot: r.slots[i],
		polling: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer, From: r.from},
		posting: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer, From: r.from},
	}
	// With an unknown id the server reads from the oldest event.
	a.req, a.numAt = r.s.PullRequest(a.slot, r.e.Template.AppendID(nil, math.MaxUint64), r.e.Config.Page)
	a.anew = bytes.Clone(a.req)
	return a
}

// pollAll polls at this agent's times. The agents' times are spread over the
// interval.
func (a *agent) pollAll(ctx context.Context, m *round) {
	defer a.polling.Close()
	due := m.begin.Add(m.poll * time.Duration(a.i) / time.Duration(len(m.agents)))
	for k := a.i; due.Before(m.end); k, due = k+1, due.Add(m.poll) {
		pull, hist := a.pull, m.polls
		if k%anewEvery == 0 {
			pull, hist = a.pullAnew, m.anew
		}
		if m.sleepUntil(ctx, due) != nil {
			return
		}
		if m.late(due, hist) {
			continue
		}
		err := a.polling.Try(ctx, func(c *wire.Conn) error { return pull(c, m) })
		a.polling.Close()
		if errors.Is(err, net.ErrClosed) && a.polling.Interrupted() {
			return
		}
		m.done(hist, due, err)
	}
}

// pull gets what came after the newest event that a poll got, and checks it.
func (a *agent) pull(c *wire.Conn, m *round) error {
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
		wire.PutHex(a.req[a.numAt:], n)
		return nil
	})
}

// leastPage is how many bytes of events a page has at least, if there are so
// many. A relay may cut a page of large events short.
const leastPage = 1 << 20

// pullAnew reads from the oldest event. It must get what polls got before, in
// that order, and may get more.
func (a *agent) pullAnew(c *wire.Conn, m *round) error {
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
	if least := min(len(a.polled), a.r.e.Config.Page, max(1, leastPage/a.r.e.Template.Size())); err == nil && at < least {
		err = fmt.Errorf("a poll from the oldest got %d events, want %d", at, least)
	}
	return err
}

// page gets a page and calls take with the number of each event.
func (a *agent) page(c *wire.Conn, req []byte, take func(n uint64) error) error {
	h, err := c.Exchange(req)
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return c.StatusError(h, 200)
	}
	if a.buf, err = c.Body(a.buf, h.Length); err != nil {
		return err
	}
	t := a.r.e.Template
	size, b := t.Size(), a.buf
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' || len(b) > 2 && (len(b)-1)%(size+1) != 0 {
		return fmt.Errorf("a poll got %d bytes that are no array of events of %d bytes", len(b), size)
	}
	for b = b[1:]; len(b) > size; b = b[size+1:] {
		n, err := t.Number(b[:size])
		if err != nil {
			return fmt.Errorf("a poll got an event: %w", err)
		}
		if err := take(n); err != nil {
			return err
		}
	}
	return nil
}

// postAll posts this agent's bursts at their times. The agents' times are
// spread over the interval.
func (a *agent) postAll(ctx context.Context, m *round) {
	defer a.posting.Close()
	first := m.begin.Add(m.burst * time.Duration(a.i) / time.Duration(len(m.agents)))
	var req load.PostRequest
	for k := range m.each {
		due := first.Add(m.burst*time.Duration(k/burstPosts) + m.gap*time.Duration(k%burstPosts))
		if !due.Before(m.end) {
			continue // the end of the round cuts this burst
		}
		if m.sleepUntil(ctx, due) != nil {
			return
		}
		if m.late(due, m.posts) {
			continue
		}
		i := a.i*m.each + k
		if k%burstPosts == 0 || req.Bytes == nil {
			a.posting.Close()
			req = a.r.s.NewPost(m.slots[m.reader(i)], a.r.e.Template)
		}
		err := a.posting.Try(ctx, func(c *wire.Conn) error {
			m.sentNs[i].Store(int64(time.Since(m.begin)))
			return c.Store(req.Number(m.base + uint64(i)))
		})
		if errors.Is(err, net.ErrClosed) && a.posting.Interrupted() {
			return
		}
		if err == nil {
			m.acked[i] = true
			m.ackedN.Add(1)
		}
		if k%burstPosts == burstPosts-1 {
			a.posting.Close()
		}
		m.done(m.posts, due, err)
		if err == nil && a.r.Posted != nil {
			a.r.Posted(due, time.Since(due))
		}
	}
}

// begin forgets the last round and opens the agent's stream. The stream gets
// every event that is posted from then on.
func (a *agent) begin(ctx context.Context) error {
	a.before, a.streamed = len(a.polled), a.streamed[:0]
	a.polling.Renew()
	a.posting.Renew()
	c, err := wire.DialFrom(ctx, a.r.from, a.r.s.Addr, wire.SmallBuffer)
	if err != nil {
		return err
	}
	a.stream = c
	defer context.AfterFunc(ctx, c.Close)()
	body, err := c.OpenStream(a.r.s.StreamRequest(a.slot))
	if err != nil {
		return err
	}
	a.frames = wire.NewFramesOf(body, 2*a.r.e.Template.Size()+wire.SmallBuffer)
	return nil
}

func (a *agent) closeStream() {
	if a.stream != nil {
		a.stream.Close()
	}
}

// read reads the agent's stream until it ends, and checks every event.
func (a *agent) read(m *round) {
	for {
		id, data, err := a.frames.Next()
		if err == nil {
			err = a.deliver(m, id, data)
		} else if m.closed.Load() {
			return
		} else {
			err = fmt.Errorf("a stream ended: %w", err)
		}
		if err != nil {
			m.log.Add(err)
			return
		}
	}
}

// deliver checks one event from the stream and counts it.
func (a *agent) deliver(m *round, id, data []byte) error {
	n, err := a.r.e.Template.Number(data)
	if err != nil {
		return fmt.Errorf("a stream carries an event: %w", err)
	}
	if of, ok := a.r.e.Template.NumberOfID(id); !ok || of != n {
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
	m.done(m.deliver, m.begin.Add(time.Duration(m.sentNs[i].Load())), nil)
	return nil
}
