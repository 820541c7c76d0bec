package bench

import (
	"bytes"
	"context"
	"fmt"
)

// catchUpRunner has clients catch up, again and again, that are one page behind
// in a slot of many events. It is what the window scenario comes to where a
// peer gives no page of a given length, but all that follows.
type catchUpRunner struct {
	e     *env
	s     *side
	conns int
	req   []byte
	want  []byte // the body of every answer
}

// openCatchUp fills a slot of the relay.
func openCatchUp(ctx context.Context, e *env, s *side, conns, count int) (runner, error) {
	page := e.cfg.Page
	m, err := e.fillSlot(ctx, s, count, page)
	if err != nil {
		return nil, err
	}
	first := len(m.order) - page
	want := append([]byte{'['}, m.window(first, page)...)
	req, _ := s.pullRequest(m.slot, e.tmpl.appendID(nil, m.order[first-1]), page)
	return &catchUpRunner{e: e, s: s, conns: conns, req: req, want: append(want, ']')}, nil
}

// openNchanCatchUp fills a channel of Nchan. Events are published one after the
// other, so their order is known.
func openNchanCatchUp(ctx context.Context, e *env, s *side, conns, count int) (runner, error) {
	c, err := dialRaw(ctx, s.addr, apiBuffer)
	if err != nil {
		return nil, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	first := count - e.cfg.Page
	r := &catchUpRunner{e: e, s: s, conns: conns}
	sl := s.dialect.newSlot()
	p := s.newPost(sl, e.tmpl)
	var body []byte
	for n := range count {
		h, err := c.exchange(p.number(uint64(n)))
		if err != nil {
			return nil, err
		}
		if !s.dialect.accepts(h.status) {
			return nil, c.statusError(h, 201)
		}
		if body, err = c.body(body, h.length); err != nil {
			return nil, err
		}
		id, err := nchanMessageID(body)
		if err != nil {
			return nil, err
		}
		if n == first-1 {
			r.req = fmt.Appendf(nil, "GET /page/%s HTTP/1.1\r\nHost: %s\r\nLast-Event-ID: %s\r\n\r\n", sl.id, s.addr, id)
		}
		if n >= first {
			r.want = append(e.tmpl.appendEvent(r.want, uint64(n)), ",\n"...)
		}
	}
	return r, nil
}

func (r *catchUpRunner) round(ctx context.Context) (Sample, error) {
	ws := make([]worker, r.conns)
	for i := range ws {
		ws[i] = &catcher{link: link{addr: r.s.addr, buffer: apiBuffer}, r: r}
	}
	return r.e.runClosed(ctx, r.s, ws)
}

// A catcher is one client. Status and length of every answer are checked, all
// bytes of the first one and of one in a thousand.
type catcher struct {
	link
	r   *catchUpRunner
	buf []byte
}

func (p *catcher) do(ctx context.Context) error {
	c, err := p.get(ctx)
	if err != nil {
		return err
	}
	if err := p.once(c); err != nil {
		p.fail()
		return err
	}
	return nil
}

func (p *catcher) once(c *rawConn) error {
	h, err := c.exchange(p.r.req)
	if err != nil {
		return err
	}
	if h.status != 200 {
		return c.statusError(h, 200)
	}
	if h.length != len(p.r.want) {
		return fmt.Errorf("a client that is %d events behind got %d bytes, want %d", p.r.e.cfg.Page, h.length, len(p.r.want))
	}
	if !p.fullCheck() {
		return c.skip(h.length)
	}
	if p.buf, err = c.body(p.buf, h.length); err != nil {
		return err
	}
	if !bytes.Equal(p.buf, p.r.want) {
		return fmt.Errorf("a client that is %d events behind got wrong bytes", p.r.e.cfg.Page)
	}
	return nil
}

func (p *catcher) close() { p.fail() }
