package scenario

import (
	"bytes"
	"context"
	"fmt"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// pollEvents is how many events the polled slot has. The clients know all of
// them.
const pollEvents = 100

// Poll loads a relay with clients that are up to date: each asks again and
// again for what is new, over a kept connection, and gets an empty page. That
// is what a relay of mailboxes does most of the time. The bound answers "[]"
// without a look at the request, so the ratio is the price of authentication,
// lookup and counters.
func Poll(cfg *run.Config) []run.Variant {
	var out []run.Variant
	for _, n := range cfg.ConnsOr(64) {
		out = append(out, run.Variant{
			Scenario: "poll", Text: fmt.Sprintf("%d conns", n), Unit: "requests", Files: n,
			Bound: bound.Config{Mode: bound.Poll, EventBytes: cfg.EventBytesOr(300)},
			Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
				return openPoll(ctx, e, s, n)
			},
		})
	}
	return out
}

// A pollRunner polls one slot from many connections.
type pollRunner struct {
	e     *run.Env
	s     *load.Server
	conns int
	req   []byte
}

// openPoll makes and fills the slot.
func openPoll(ctx context.Context, e *run.Env, s *load.Server, conns int) (*pollRunner, error) {
	sl, err := s.AllocateN(ctx, 1)
	if err != nil {
		return nil, err
	}
	c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	p := s.NewPost(sl[0], e.Template)
	for i := range uint64(pollEvents) {
		if err := c.Store(p.Number(i)); err != nil {
			return nil, err
		}
	}
	req, _ := s.PullRequest(sl[0], e.Template.AppendID(nil, pollEvents-1), 100)
	return &pollRunner{e: e, s: s, conns: conns, req: req}, nil
}

func (r *pollRunner) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = &poller{Link: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer}, req: r.req}
	}
	return r.e.RunClosed(ctx, r.s, ws)
}

// A poller is one up-to-date client. All bytes of every answer are checked:
// they are two.
type poller struct {
	wire.Link
	req []byte
	buf []byte
}

func (p *poller) Do(ctx context.Context) error { return p.Try(ctx, p.once) }

func (p *poller) once(c *wire.Conn) error {
	h, err := c.Exchange(p.req)
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return c.StatusError(h, 200)
	}
	if p.buf, err = c.Body(p.buf, h.Length); err != nil {
		return err
	}
	if !bytes.Equal(p.buf, wire.EmptyPage) {
		return fmt.Errorf("an up-to-date client got %.100q, want %s", p.buf, wire.EmptyPage)
	}
	return nil
}
