package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
)

func postScenarios(cfg *Config) []scenario {
	size := cfg.eventBytes(512)
	var out []scenario
	for _, n := range cfg.conns(1, 64, 256) {
		out = append(out, scenario{
			name: "post", variant: fmt.Sprintf("%d conns, %d B", n, size), unit: "requests", files: n,
			bound: BoundConfig{Mode: boundPost, EventBytes: size},
			open: func(_ context.Context, e *env, s *side) (runner, error) {
				return &postRunner{e: e, s: s, conns: n}, nil
			},
		})
	}
	return out
}

// postRunner posts unique events from many connections, each to slots of its
// own that are new in every round: a slot ends at 64 MiB.
type postRunner struct {
	e     *env
	s     *side
	conns int
	next  uint64 // first number of the next round
}

// numbersPerPoster is the room for the numbers of one poster in one round.
const numbersPerPoster = 1 << 32

func (r *postRunner) round(ctx context.Context) (Sample, error) {
	slots, err := r.s.allocateN(ctx, r.conns)
	if err != nil {
		return Sample{}, err
	}
	ws := make([]worker, r.conns)
	for i := range ws {
		ws[i] = newPoster(r.e, r.s, slots[i], r.next)
		r.next += numbersPerPoster
	}
	return r.e.runClosed(ctx, r.s, ws)
}

// A poster is one connection that posts.
type poster struct {
	link
	e    *env
	s    *side
	req  postRequest
	next uint64 // number of the next event
	room int    // events that the slot still takes
	buf  []byte
}

// slotEvents is the number of events of size bytes that fit into a slot; the
// eighth that is kept back is for relays that count more than the bytes posted.
func slotEvents(size int) int { return slotBytesMax / 8 * 7 / size }

func newPoster(e *env, s *side, sl slot, first uint64) *poster {
	return &poster{
		link: link{addr: s.addr, buffer: apiBuffer}, e: e, s: s,
		req: s.newPost(sl, e.tmpl), next: first, room: slotEvents(e.tmpl.size()),
	}
}

func (p *poster) do(ctx context.Context) error {
	c, err := p.get(ctx)
	if err != nil {
		return err
	}
	if p.room == 0 {
		// Rare, and so cheap beside the posts that filled a slot that it may be
		// in the measured time.
		sl, err := p.s.allocate(c)
		if err != nil {
			p.fail()
			return err
		}
		p.req, p.room = p.s.newPost(sl, p.e.tmpl), slotEvents(p.e.tmpl.size())
	}
	n := p.next
	p.next++
	p.room--
	if err := p.post(c, n); err != nil {
		p.fail()
		return err
	}
	return nil
}

func (p *poster) postNumber(ctx context.Context, n uint64) error {
	p.next = n
	return p.do(ctx)
}

// post posts event n and checks that it was stored. The id in the answer is
// checked on the first answer of a connection and on one in a thousand.
func (p *poster) post(c *rawConn, n uint64) error {
	h, err := c.exchange(p.req.number(n))
	if err != nil {
		return err
	}
	d := p.s.dialect
	if h.status != 201 && (d == nil || !d.accepts(h.status)) {
		return c.statusError(h, 201)
	}
	if !p.fullCheck() {
		return c.skip(h.length)
	}
	if p.buf, err = c.body(p.buf, h.length); err != nil {
		return err
	}
	if d != nil {
		return d.checkStored(p.buf)
	}
	if !bytes.Contains(p.buf, p.e.tmpl.appendID(nil, n)) || !bytes.Contains(p.buf, []byte("stored")) {
		return fmt.Errorf("a post was answered by %.200q, without its id or without \"stored\"", p.buf)
	}
	return nil
}

// fullCheck says whether this answer is to be checked as a whole.
func (l *link) fullCheck() bool {
	if l.fresh {
		l.fresh = false
		return true
	}
	return rand.Uint32N(1000) == 0
}
