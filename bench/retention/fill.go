package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// filled is slots of known content: the event at position k of slot i has the number
// i*SlotEvents + k.
type filled struct {
	c     *Config
	e     *run.Env
	s     *load.Server
	of    events
	slots []load.Slot
}

// number is that of the event at a position of slot i.
func (f *filled) number(i, pos int) uint64 {
	return uint64(i)*uint64(f.c.SlotEvents) + uint64(pos)
}

// each has all connections do each number below n once.
func (f *filled) each(ctx context.Context, step string, n int, do func(c *wire.Conn, w *worker, i int) error) error {
	f.e.Track.Step(step)
	out, err := f.e.RunNumbers(ctx, f.s, f.c.ConnsOr(fillConns)[0], 0, n, func() load.Numbered {
		return &worker{Link: wire.Link{Addr: f.s.Addr, Buffer: wire.SmallBuffer}, do: do}
	}, f.e.Track.Prepared)
	if err == nil && out.Errors > 0 {
		err = fmt.Errorf("%d times, first: %w", out.Errors, errors.New(out.FirstError))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

// A worker does numbers over one connection.
type worker struct {
	wire.Link
	do        func(c *wire.Conn, w *worker, i int) error
	buf, want []byte // what came, and what must come or is sent
}

func (w *worker) Do(ctx context.Context, i int) error {
	return w.Try(ctx, func(c *wire.Conn) error { return w.do(c, w, i) })
}

// allocate makes the slots.
func (f *filled) allocate(ctx context.Context) error {
	f.slots = make([]load.Slot, f.c.slots())
	own := fmt.Sprintf(`{"event_ttl_seconds":%d}`, f.c.TTL/time.Second)
	return f.each(ctx, "making the slots", len(f.slots), func(c *wire.Conn, _ *worker, i int) (err error) {
		body := "{}"
		if f.c.expires(i) {
			body = own
		}
		f.slots[i], err = f.s.AllocateAs(c, body)
		return err
	})
}

// fill posts the events. Each pass gives each slot one batch, so the events of a slot
// come over the whole time, as they do where many agents post.
func (f *filled) fill(ctx context.Context) error {
	batch := run.BatchOf(f.c.BatchEvents, f.of.size)
	for at := 0; at < f.c.SlotEvents; at += batch {
		n := min(batch, f.c.SlotEvents-at)
		step := fmt.Sprintf("filling: events %d to %d of each slot", at, at+n-1)
		if err := f.each(ctx, step, len(f.slots), func(c *wire.Conn, w *worker, i int) error {
			w.want = w.want[:0]
			for k := range n {
				w.want = append(f.of.append(w.want, f.number(i, at+k)), '\n')
			}
			return c.Store(f.s.PostLines(f.slots[i], w.want))
		}); err != nil {
			return err
		}
	}
	return nil
}

// check reads all slots: those that keep their events have each byte of them, and the
// others have none. It returns how many events it read.
func (f *filled) check(ctx context.Context) (kept int64, err error) {
	const page = 1000
	err = f.each(ctx, "reading what is left", len(f.slots), func(c *wire.Conn, w *worker, i int) (err error) {
		want := f.c.SlotEvents
		if f.c.expires(i) {
			want = 0
		}
		for at := 0; at == 0 || at < want; at += page {
			if w.buf, err = c.Pulled(w.buf, f.s.PositionRequest(f.slots[i], at, page)); err != nil {
				return fmt.Errorf("slot %d from position %d: %w", i, at, err)
			}
			w.want = f.appendPage(w.want[:0], i, at, max(0, min(page, want-at)))
			if !bytes.Equal(w.buf, w.want) {
				return fmt.Errorf("slot %d from position %d: a page of %d bytes is not what was posted, of %d: %.80q", i, at, len(w.buf), len(w.want), w.buf)
			}
		}
		return nil
	})
	return int64(f.c.slots()-f.c.expiring()) * int64(f.c.SlotEvents), err
}

// appendPage appends a page of n events of slot i, from position first.
func (f *filled) appendPage(b []byte, i, first, n int) []byte {
	b = append(b, '[')
	for k := range n {
		if k > 0 {
			b = append(b, ',')
		}
		b = f.of.append(b, f.number(i, first+k))
	}
	return append(b, ']')
}
