package load

import (
	"context"
	"encoding/json"
	"fmt"

	"cowrelay/bench/wire"
)

// A BatchRequest is a serialized post of several events, one a line. The numbers
// of its events can be replaced.
type BatchRequest struct {
	Bytes  []byte
	Events int
	numAt  int // offset of the first event's number
	step   int // bytes from one event to the next
}

// NewBatch serializes a post of n events of t, numbers 0 to n-1.
func (s *Server) NewBatch(sl Slot, t *wire.Template, n int) BatchRequest {
	step := t.Size() + 1
	b := s.requestHeadOf(wire.EventLines, "POST", "/v1/events/"+sl.ID, sl.Token, n*step)
	r := BatchRequest{Events: n, numAt: len(b) + t.NumAt, step: step}
	for i := range n {
		b = append(t.AppendEvent(b, uint64(i)), '\n')
	}
	r.Bytes = b
	return r
}

// PostLines serializes a post of events that stand one a line.
func (s *Server) PostLines(sl Slot, lines []byte) []byte {
	return append(s.requestHeadOf(wire.EventLines, "POST", "/v1/events/"+sl.ID, sl.Token, len(lines)), lines...)
}

// From returns the request for the events first, first+1 and so on. It is valid
// until the next call.
func (r BatchRequest) From(first uint64) []byte {
	at := r.numAt
	for i := range r.Events {
		wire.PutHex(r.Bytes[at:], first+uint64(i))
		at += r.step
	}
	return r.Bytes
}

// A BatchPoster is one connection that posts batches of unique events to a slot
// of its own. It makes the slot before its first batch, and another one when that
// is full.
type BatchPoster struct {
	wire.Link
	t      *wire.Template
	s      *Server
	events int // of a batch
	req    BatchRequest
	Next   uint64 // number of the next event
	Slot   Slot
	room   int    // events that the slot still takes
	end    uint64 // where the slot ends
	buf    []byte
}

// NewBatchPoster returns a poster of batches of so many events to s. Its first
// event has the number first.
func NewBatchPoster(t *wire.Template, s *Server, events int, first uint64) *BatchPoster {
	return &BatchPoster{
		Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, t: t, s: s, events: events, Next: first,
	}
}

// Do posts a batch.
func (p *BatchPoster) Do(ctx context.Context) error {
	return p.Try(ctx, func(c *wire.Conn) error {
		if p.room < p.events {
			// This is cheap beside the batches that filled the slot.
			sl, err := p.s.Allocate(c)
			if err != nil {
				return err
			}
			p.Slot, p.req = sl, p.s.NewBatch(sl, p.t, p.events)
			p.room, p.end = SlotEvents(p.t.Size()), 0
		}
		first := p.Next
		p.Next += uint64(p.events)
		p.room -= p.events
		return p.post(c, first)
	})
}

// post posts a batch and checks that all of it was stored. The body is checked on
// a connection's first answer and on one in a thousand.
func (p *BatchPoster) post(c *wire.Conn, first uint64) error {
	h, err := c.Exchange(p.req.From(first))
	if err != nil {
		return err
	}
	if h.Status != 201 {
		return c.StatusError(h, 201)
	}
	p.end += uint64(p.events)
	if !p.FullCheck() {
		return c.Skip(h.Length)
	}
	if p.buf, err = c.Body(p.buf, h.Length); err != nil {
		return err
	}
	var got struct {
		Stored, Duplicates *int
		Next               *uint64
	}
	if err := json.Unmarshal(p.buf, &got); err != nil || got.Stored == nil || got.Duplicates == nil || got.Next == nil {
		return fmt.Errorf("a batch was answered by %.200q", p.buf)
	}
	// The bound knows no slots, so it has no positions.
	if *got.Stored != p.events || *got.Duplicates != 0 || *got.Next != p.end && !p.s.Bound() {
		return fmt.Errorf("a batch of %d events was answered by %.200q, in a slot that ends at %d", p.events, p.buf, p.end)
	}
	return nil
}

// Events is how many events a batch has.
func (p *BatchPoster) Events() int { return p.events }
