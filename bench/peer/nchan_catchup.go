package peer

import (
	"bytes"
	"context"
	"fmt"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// A catchUpRunner has clients catch up again and again that are one page behind
// in a slot of many events. It takes the place of the window scenario for a
// peer that answers with all that follows, and not with a page of a given
// length.
type catchUpRunner struct {
	e     *run.Env
	s     *load.Server
	conns int
	req   []byte
	want  []byte // the body of every answer
}

// openCatchUp fills a slot of the relay.
func openCatchUp(ctx context.Context, e *run.Env, s *load.Server, conns, count int) (run.Runner, error) {
	page := e.Config.Page
	m, err := e.FillSlot(ctx, s, count, page)
	if err != nil {
		return nil, err
	}
	first := len(m.Order) - page
	want := append([]byte{'['}, m.Window(first, page)...)
	req, _ := s.PullRequest(m.Slot, e.Template.AppendID(nil, m.Order[first-1]), page)
	return &catchUpRunner{e: e, s: s, conns: conns, req: req, want: append(want, ']')}, nil
}

// openNchanCatchUp fills a channel of Nchan. It publishes one event after the
// other, so that it knows their order.
func openNchanCatchUp(ctx context.Context, e *run.Env, s *load.Server, conns, count int) (run.Runner, error) {
	c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	first := count - e.Config.Page
	r := &catchUpRunner{e: e, s: s, conns: conns}
	sl := s.Dialect.NewSlot()
	p := s.NewPost(sl, e.Template)
	var body []byte
	for n := range count {
		h, err := c.Exchange(p.Number(uint64(n)))
		if err != nil {
			return nil, err
		}
		if !s.Dialect.Accepts(h.Status) {
			return nil, c.StatusError(h, 201)
		}
		if body, err = c.Body(body, h.Length); err != nil {
			return nil, err
		}
		id, err := nchanMessageID(body)
		if err != nil {
			return nil, err
		}
		if n == first-1 {
			r.req = fmt.Appendf(nil, "GET /page/%s HTTP/1.1\r\nHost: %s\r\nLast-Event-ID: %s\r\n\r\n", sl.ID, s.Addr, id)
		}
		if n >= first {
			r.want = append(e.Template.AppendEvent(r.want, uint64(n)), ",\n"...)
		}
	}
	return r, nil
}

func (r *catchUpRunner) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = &catcher{Link: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer}, r: r}
	}
	return r.e.RunClosed(ctx, r.s, ws)
}

// A catcher is one client. Status and length of every answer are checked; all
// bytes are checked of a connection's first answer and of one in a thousand.
type catcher struct {
	wire.Link
	r   *catchUpRunner
	buf []byte
}

func (p *catcher) Do(ctx context.Context) error {
	c, err := p.Get(ctx)
	if err != nil {
		return err
	}
	if err := p.once(c); err != nil {
		p.Fail()
		return err
	}
	return nil
}

func (p *catcher) once(c *wire.Conn) error {
	h, err := c.Exchange(p.r.req)
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return c.StatusError(h, 200)
	}
	if h.Length != len(p.r.want) {
		return fmt.Errorf("a client that is %d events behind got %d bytes, want %d", p.r.e.Config.Page, h.Length, len(p.r.want))
	}
	if !p.FullCheck() {
		return c.Skip(h.Length)
	}
	if p.buf, err = c.Body(p.buf, h.Length); err != nil {
		return err
	}
	if !bytes.Equal(p.buf, p.r.want) {
		return fmt.Errorf("a client that is %d events behind got wrong bytes", p.r.e.Config.Page)
	}
	return nil
}

func (p *catcher) Close() { p.Fail() }
