package cold

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"cowrelay/bench/wire"
)

// A reader is one connection that takes windows at random places of random slots.
// All bytes of each page are compared.
type reader struct {
	wire.Link
	f        *filled
	from, to int // of the slots that it reads: [from, to)

	// refused counts answers of 503 with Retry-After. With nil they are errors.
	refused *atomic.Int64
	turned  bool // the last answer was such a 503

	buf, want []byte
}

func newReader(f *filled, from, to int, refused *atomic.Int64) *reader {
	return &reader{Link: wire.Link{Addr: f.s.Addr, Buffer: wire.SmallBuffer}, f: f, from: from, to: to, refused: refused}
}

func (r *reader) Do(ctx context.Context) error { return r.Try(ctx, r.once) }

// once takes one window. It may be shorter than a page, or empty, at the end of the
// slot.
func (r *reader) once(c *wire.Conn) error {
	i, since := r.from+rand.IntN(r.to-r.from), rand.IntN(r.f.events)
	id := r.f.t.AppendID(nil, uint64(i)*uint64(r.f.events)+uint64(since))
	req, _ := r.f.s.PullRequest(r.f.slots[i], id, page)
	h, err := c.Exchange(req)
	if err != nil {
		return fmt.Errorf("slot %d after position %d: %w", i, since, err)
	}
	r.turned = h.Status == 503 && h.RetryAfter && r.refused != nil
	if r.turned {
		r.refused.Add(1)
		return c.Skip(h.Length)
	}
	if h.Status != 200 {
		return fmt.Errorf("slot %d after position %d: %w", i, since, c.StatusError(h, 200))
	}
	if r.buf, err = c.Body(r.buf, h.Length); err != nil {
		return fmt.Errorf("slot %d after position %d: %w", i, since, err)
	}
	n := min(page, r.f.events-since-1)
	r.want = r.f.appendPage(r.want[:0], i, since+1, n)
	return same(r.buf, r.want, i, since, n)
}

// same compares a page with what it must be.
func same(got, want []byte, slot, since, n int) error {
	if bytes.Equal(got, want) {
		return nil
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Errorf("slot %d after position %d: page of %d bytes for %d events of %d bytes, wrong from byte %d on: %.60q",
		slot, since, len(got), n, len(want), at, got[at:])
}
