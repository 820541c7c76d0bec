package handles

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"cowrelay/bench/bound"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// pageHandles is how many handles a page has: the relay's default.
const pageHandles = 100

// Pages reads pages of a full directory, at random places. The bound answers a text
// of the same size and looks nothing up.
func Pages(cfg *run.Config) []run.Variant {
	var out []run.Variant
	for _, n := range cfg.ConnsOr(64) {
		out = append(out, run.Variant{
			Scenario: "directory", Text: fmt.Sprintf("%d conns, %s nicks", n, load.Thousands(float64(cfg.Handles))), Unit: "requests", Files: n,
			Bound: bound.Config{Mode: bound.Page, EventBytes: pageHandles * rowBytes},
			Open: func(ctx context.Context, e *run.Env, s *load.Server) (run.Runner, error) {
				r := &pages{e: e, s: s, agents: cfg.Handles, conns: n}
				if s.Bound() {
					return r, nil
				}
				c, err := newCrowd(ctx, e, s, cfg.Handles, 64)
				if err == nil {
					err = c.fill(ctx, e)
				}
				return r, err
			},
		})
	}
	return out
}

// rowBytes is about the size of one row of a page.
const rowBytes = 255

type pages struct {
	e             *run.Env
	s             *load.Server
	agents, conns int
}

func (r *pages) Round(ctx context.Context) (load.Sample, error) {
	ws := make([]load.Worker, r.conns)
	for i := range ws {
		ws[i] = &reader{Link: wire.Link{Addr: r.s.Addr, Buffer: 32 << 10}, s: r.s, agents: r.agents}
	}
	return r.e.RunClosed(ctx, r.s, ws)
}

// A reader is one connection that reads pages.
type reader struct {
	wire.Link
	s      *load.Server
	agents int
	buf    []byte
}

func (r *reader) Do(ctx context.Context) error { return r.Try(ctx, r.once) }

func (r *reader) once(c *wire.Conn) error {
	after := rand.IntN(max(1, r.agents-pageHandles))
	h, err := c.Exchange(r.s.Get("/v1/handles?cursor=" + nickOf(after)))
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return c.StatusError(h, 200)
	}
	if r.s.Bound() || !r.FullCheck() {
		return c.Skip(h.Length)
	}
	if r.buf, err = c.Body(r.buf, h.Length); err != nil {
		return err
	}
	return checkPage(r.buf, after, min(pageHandles, r.agents-after-1))
}

// checkPage checks the page behind agent after: it has so many handles, in order.
func checkPage(body []byte, after, count int) error {
	var page struct {
		Handles []struct{ Nick string }
		Next    *string `json:"next_cursor"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return fmt.Errorf("a page of the directory: %w", err)
	}
	if len(page.Handles) != count {
		return fmt.Errorf("a page has %d handles, want %d", len(page.Handles), count)
	}
	for i, h := range page.Handles {
		if h.Nick != nickOf(after+1+i) {
			return fmt.Errorf("handle %d of a page is %s, want %s", i, h.Nick, nickOf(after+1+i))
		}
	}
	return nil
}
