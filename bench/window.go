package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
)

func windowScenarios(cfg *Config) []scenario {
	size := cfg.eventBytes(300)
	var out []scenario
	for _, conns := range cfg.conns(64) {
		for _, length := range cfg.SlotBytes {
			count := int(length) / size
			out = append(out, scenario{
				name:    "window",
				variant: fmt.Sprintf("%d conns, %d x %d B from %s", conns, cfg.Page, size, lengthText(length)),
				unit:    "requests", files: conns,
				bound: BoundConfig{Mode: boundWindow, EventBytes: size, Count: count, Page: cfg.Page},
				open: func(ctx context.Context, e *env, s *side) (runner, error) {
					m, err := e.fillSlot(ctx, s, count, cfg.Page)
					if err != nil {
						return nil, err
					}
					return &windowRunner{e: e, s: s, m: m, conns: conns}, nil
				},
			})
		}
	}
	return out
}

// lengthText prints a length in MiB where it is whole, else in bytes.
func lengthText(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d B", n)
}

// windowRunner takes full windows at random places.
type windowRunner struct {
	e     *env
	s     *side
	m     *image
	conns int
}

func (r *windowRunner) round(ctx context.Context) (Sample, error) {
	ws := make([]worker, r.conns)
	for i := range ws {
		ws[i] = newPuller(r.e, r.s, r.m)
	}
	return r.e.runClosed(ctx, r.s, ws)
}

// A puller is one connection that takes windows. Status and length of every
// answer are checked; all bytes of the first one of a connection and of one in
// a thousand.
type puller struct {
	link
	e     *env
	s     *side
	m     *image
	req   []byte
	numAt int
	buf   []byte
}

func newPuller(e *env, s *side, m *image) *puller {
	p := &puller{link: link{addr: s.addr, buffer: apiBuffer}, e: e, s: s, m: m}
	p.req, p.numAt = s.pullRequest(m.slot, e.tmpl.appendID(nil, 0), e.cfg.Page)
	return p
}

func (p *puller) do(ctx context.Context) error { return p.try(ctx, p.once) }

func (p *puller) once(c *rawConn) error {
	page := p.e.cfg.Page
	// since names the event before the window, so the window at position 0 is
	// the only one that is never taken.
	since := rand.IntN(len(p.m.order) - page)
	putHex(p.req[p.numAt:], p.m.order[since])
	h, err := c.exchange(p.req)
	if err != nil {
		return err
	}
	if h.status != 200 {
		return c.statusError(h, 200)
	}
	if want := page*p.m.step + 1; h.length != want {
		return fmt.Errorf("window of %d bytes, want %d", h.length, want)
	}
	if !p.fullCheck() {
		return c.skip(h.length)
	}
	if p.buf, err = c.body(p.buf, h.length); err != nil {
		return err
	}
	return p.m.sameWindow(p.buf, since+1, page, p.s.bound())
}
