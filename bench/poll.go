package bench

import (
	"bytes"
	"context"
	"fmt"
)

// pollEvents is the length of the slot that is polled: a short history, all of
// it known to the client.
const pollEvents = 100

func pollScenarios(cfg *Config) []scenario {
	var out []scenario
	for _, n := range cfg.conns(64) {
		out = append(out, scenario{
			name: "poll", variant: fmt.Sprintf("%d conns", n), unit: "requests", files: n,
			bound: BoundConfig{Mode: boundPoll, EventBytes: cfg.eventBytes(300)},
			open: func(ctx context.Context, e *env, s *side) (runner, error) {
				return openPoll(ctx, e, s, n)
			},
		})
	}
	return out
}

// pollRunner polls one slot from many connections.
type pollRunner struct {
	e     *env
	s     *side
	conns int
	req   []byte
}

func openPoll(ctx context.Context, e *env, s *side, conns int) (*pollRunner, error) {
	sl, err := s.allocateN(ctx, 1)
	if err != nil {
		return nil, err
	}
	c, err := dialRaw(ctx, s.addr, apiBuffer)
	if err != nil {
		return nil, err
	}
	defer c.close()
	p := s.newPost(sl[0], e.tmpl)
	for i := range uint64(pollEvents) {
		if err := c.store(p.number(i)); err != nil {
			return nil, err
		}
	}
	req, _ := s.pullRequest(sl[0], e.tmpl.appendID(nil, pollEvents-1), 100)
	return &pollRunner{e: e, s: s, conns: conns, req: req}, nil
}

func (r *pollRunner) round(ctx context.Context) (Sample, error) {
	ws := make([]worker, r.conns)
	for i := range ws {
		ws[i] = &poller{link: link{addr: r.s.addr, buffer: apiBuffer}, req: r.req}
	}
	return r.e.runClosed(ctx, r.s, ws)
}

// store posts once and drops the answer.
func (c *rawConn) store(req []byte) error {
	h, err := c.exchange(req)
	if err != nil {
		return err
	}
	if h.status != 201 {
		return c.statusError(h, 201)
	}
	return c.skip(h.length)
}

// A poller is one up-to-date client. Every answer is checked as a whole: it is
// two bytes.
type poller struct {
	link
	req []byte
	buf []byte
}

func (p *poller) do(ctx context.Context) error { return p.try(ctx, p.once) }

func (p *poller) once(c *rawConn) error {
	h, err := c.exchange(p.req)
	if err != nil {
		return err
	}
	if h.status != 200 {
		return c.statusError(h, 200)
	}
	if p.buf, err = c.body(p.buf, h.length); err != nil {
		return err
	}
	if !bytes.Equal(p.buf, emptyPage) {
		return fmt.Errorf("an up-to-date client got %.100q, want %s", p.buf, emptyPage)
	}
	return nil
}
