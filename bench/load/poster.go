package load

import (
	"bytes"
	"context"
	"fmt"

	"cowrelay/bench/wire"
)

// SlotBytesMax is how many bytes of events a slot of the relay takes.
const SlotBytesMax = 64 << 20

// SlotsOfRelay is how many slots a relay takes without --max-slots.
const SlotsOfRelay = 200_000

// NumbersPerPoster is how many event numbers are set aside for one poster in
// one round.
const NumbersPerPoster = 1 << 32

// A Poster is one connection that posts unique events. It goes on with another
// slot when one is full.
type Poster struct {
	wire.Link
	t    *wire.Template
	s    *Server
	req  PostRequest
	Next uint64 // number of the next event
	Room int    // events that the slot still takes
	buf  []byte
}

// SlotEvents is how many events of size bytes go into a slot. An eighth is kept
// free, for relays that count more than the bytes that were posted.
func SlotEvents(size int) int { return SlotBytesMax / 8 * 7 / size }

// NewPoster returns a poster to a slot of s. Its first event has the number
// first.
func NewPoster(t *wire.Template, s *Server, sl Slot, first uint64) *Poster {
	return &Poster{
		Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, t: t, s: s,
		req: s.NewPost(sl, t), Next: first, Room: SlotEvents(t.Size()),
	}
}

func (p *Poster) Do(ctx context.Context) error {
	c, err := p.Get(ctx)
	if err != nil {
		return err
	}
	if p.Room == 0 {
		// This is rare, and cheap beside the posts that filled the slot. So it may be
		// in the measured time.
		sl, err := p.s.Allocate(c)
		if err != nil {
			p.Fail()
			return err
		}
		p.req, p.Room = p.s.NewPost(sl, p.t), SlotEvents(p.t.Size())
	}
	n := p.Next
	p.Next++
	p.Room--
	if err := p.post(c, n); err != nil {
		p.Fail()
		return err
	}
	return nil
}

// PostNumber posts event n.
func (p *Poster) PostNumber(ctx context.Context, n uint64) error {
	p.Next = n
	return p.Do(ctx)
}

// post posts event n and checks that it was stored. The body is checked on a
// connection's first answer and on one in a thousand.
func (p *Poster) post(c *wire.Conn, n uint64) error {
	h, err := c.Exchange(p.req.Number(n))
	if err != nil {
		return err
	}
	d := p.s.Dialect
	if h.Status != 201 && (d == nil || !d.Accepts(h.Status)) {
		return c.StatusError(h, 201)
	}
	if !p.FullCheck() {
		return c.Skip(h.Length)
	}
	if p.buf, err = c.Body(p.buf, h.Length); err != nil {
		return err
	}
	if d != nil {
		return d.CheckStored(p.buf)
	}
	if !bytes.Contains(p.buf, p.t.AppendID(nil, n)) || !bytes.Contains(p.buf, []byte("stored")) {
		return fmt.Errorf("a post was answered by %.200q, without its id or without \"stored\"", p.buf)
	}
	return nil
}
