package handles

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// A crowd is agents that claim their nicks. Each of the connections has a slot and
// an equal part of the agents, so that no nick is claimed from two connections at
// once.
type crowd struct {
	s        *load.Server
	conns    int
	requests [][]byte // by agent
}

// newCrowd makes the slots and signs the cards.
func newCrowd(ctx context.Context, e *run.Env, s *load.Server, agents, conns int) (*crowd, error) {
	slots, err := s.AllocateN(ctx, conns)
	if err != nil {
		return nil, err
	}
	e.Track.Step("signing cards for the " + s.Name)
	c := &crowd{s: s, conns: conns, requests: make([][]byte, agents)}
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for n := w; n < agents && ctx.Err() == nil; n += workers {
				slot := slots[n%conns]
				_, card := newCard(n)
				body := fmt.Appendf(nil, `{"nick":"%s","slot_id":"%s","relay_url":"https://relay.example:8443","card":%s}`, nickOf(n), slot.ID, card)
				c.requests[n] = s.PostTo("/v1/handle/claim", slot, body)
			}
		})
	}
	wg.Wait()
	return c, ctx.Err()
}

// fill claims all nicks once.
func (c *crowd) fill(ctx context.Context, e *run.Env) error {
	e.Track.Step("claiming nicks on the " + c.s.Name)
	out, err := e.RunNumbers(ctx, c.s, c.conns, 0, len(c.requests), func() load.Numbered { return c.open(0) }, e.Track.Prepared)
	if err == nil && out.Errors > 0 {
		err = fmt.Errorf("%d of %d claims failed: %s", out.Errors, len(c.requests), out.FirstError)
	}
	return err
}

func (c *crowd) open(conn int) *claimer {
	return &claimer{Link: wire.Link{Addr: c.s.Addr, Buffer: wire.SmallBuffer}, crowd: c, conn: conn}
}

// A claimer is one connection that claims nicks.
type claimer struct {
	wire.Link
	crowd *crowd
	conn  int // whose agents it takes
	buf   []byte
}

// Do claims the nick of agent n.
func (c *claimer) Do(ctx context.Context, n int) error {
	return c.Try(ctx, func(conn *wire.Conn) error {
		h, err := conn.Exchange(c.crowd.requests[n])
		if err != nil {
			return err
		}
		if h.Status != 201 {
			return conn.StatusError(h, 201)
		}
		if c.crowd.s.Bound() || !c.FullCheck() {
			return conn.Skip(h.Length)
		}
		if c.buf, err = conn.Body(c.buf, h.Length); err != nil {
			return err
		}
		return checkClaimed(c.buf, n)
	})
}
