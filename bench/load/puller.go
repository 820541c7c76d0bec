package load

import (
	"context"
	"fmt"
	"math/rand/v2"

	"cowrelay/bench/wire"
)

// A Puller is one connection that takes windows at random places. Status and
// length of every answer are checked; all bytes are checked of a connection's
// first answer and of one in a thousand.
type Puller struct {
	wire.Link
	page  int // events that it asks for
	s     *Server
	m     *Image
	req   []byte
	numAt int
	buf   []byte
}

// NewPuller returns a puller of pages of so many events from the slot of m.
func NewPuller(t *wire.Template, s *Server, m *Image, page int) *Puller {
	p := &Puller{Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, page: page, s: s, m: m}
	p.req, p.numAt = s.PullRequest(m.Slot, t.AppendID(nil, 0), page)
	return p
}

func (p *Puller) Do(ctx context.Context) error { return p.Try(ctx, p.once) }

func (p *Puller) once(c *wire.Conn) error {
	// since names the event before the window. So the window at position 0 is
	// never taken.
	since := rand.IntN(len(p.m.Order) - p.page)
	wire.PutHex(p.req[p.numAt:], p.m.Order[since])
	h, err := c.Exchange(p.req)
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return c.StatusError(h, 200)
	}
	if want := p.page*p.m.step + 1; h.Length != want {
		return fmt.Errorf("window of %d bytes, want %d", h.Length, want)
	}
	if !p.FullCheck() {
		return c.Skip(h.Length)
	}
	if p.buf, err = c.Body(p.buf, h.Length); err != nil {
		return err
	}
	return p.m.SameWindow(p.buf, since+1, p.page, p.s.Bound())
}
