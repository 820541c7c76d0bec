package mix

import (
	"context"
	"fmt"

	"cowrelay/bench/wire"
)

// A historian posts the events that slots have from the start.
type historian struct {
	wire.Link
	r *runner
}

func newHistorian(r *runner) *historian {
	return &historian{Link: wire.Link{Addr: r.s.Addr, Buffer: wire.SmallBuffer, From: r.from}, r: r}
}

func (h *historian) Do(ctx context.Context, n int) error {
	req := h.r.s.NewPost(h.r.slots[n%len(h.r.slots)], h.r.e.Template)
	return h.Try(ctx, func(c *wire.Conn) error { return c.Store(req.Number(uint64(n))) })
}

// readHistory polls what the slot has from the start.
func (a *agent) readHistory(ctx context.Context) error {
	defer a.polling.Close()
	seen := map[uint64]bool{}
	for len(seen) < a.r.History {
		err := a.polling.Try(ctx, func(c *wire.Conn) error {
			before := len(seen)
			err := a.page(c, a.req, func(n uint64) error {
				if n%uint64(len(a.r.slots)) != uint64(a.i) || seen[n] {
					return fmt.Errorf("event %d was not posted to this slot, or came twice", n)
				}
				seen[n] = true
				a.polled = append(a.polled, n)
				wire.PutHex(a.req[a.numAt:], n)
				return nil
			})
			if err == nil && len(seen) == before {
				err = fmt.Errorf("a slot has %d events of %d", len(seen), a.r.History)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
