package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// An image is what a slot holds, as its server gave it back after it was
// filled: events of one size, each followed by one byte of separation.
type image struct {
	slot  slot
	order []uint64 // number of the event at each position
	bytes []byte   // the events in order, with their separators
	step  int      // bytes from one event to the next
}

// window returns the events of positions [first, first+n) as they must come
// back, without the brackets around them.
func (m *image) window(first, n int) []byte {
	return m.bytes[first*m.step : (first+n)*m.step-1]
}

// newSlot makes a slot of count events. The bound has its events from the start.
func (e *env) newSlot(ctx context.Context, s *side, count int) (slot, error) {
	sl, err := s.allocateN(ctx, 1)
	if err != nil {
		return slot{}, err
	}
	if !s.bound() {
		if err := e.fill(ctx, s, sl[0], count); err != nil {
			return slot{}, fmt.Errorf("cannot fill a slot: %w", err)
		}
	}
	return sl[0], nil
}

// fillSlot makes a slot of count events and reads all of it back.
func (e *env) fillSlot(ctx context.Context, s *side, count, page int) (*image, error) {
	sl, err := e.newSlot(ctx, s, count)
	if err != nil {
		return nil, err
	}
	m, err := e.readBack(ctx, s, sl, count, page)
	if err != nil {
		return nil, fmt.Errorf("cannot read a slot back: %w", err)
	}
	return m, nil
}

// fill posts events 0 to count-1, in any order.
func (e *env) fill(ctx context.Context, s *side, sl slot, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		log  errorLog
		errs Sample
	)
	for range min(fillConns, count) {
		wg.Go(func() {
			c, err := dialRaw(ctx, s.addr, apiBuffer)
			if err != nil {
				log.add(err)
				cancel()
				return
			}
			defer c.close()
			defer context.AfterFunc(ctx, c.close)()
			p := s.newPost(sl, e.tmpl)
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= int64(count) {
					return
				}
				if err := c.store(p.number(uint64(n))); err != nil {
					log.add(err)
					cancel()
					return
				}
				if n%1024 == 0 {
					e.track.prepared(float64(n) / float64(count))
				}
			}
		})
	}
	wg.Wait()
	if log.into(&errs); errs.Errors > 0 {
		return errors.New(errs.FirstError)
	}
	return ctx.Err()
}

// readBack pulls a whole slot page by page and checks every event: that it is
// one of those that were posted, byte for byte, and that none comes twice.
func (e *env) readBack(ctx context.Context, s *side, sl slot, count, page int) (*image, error) {
	c, err := dialRaw(ctx, s.addr, apiBuffer)
	if err != nil {
		return nil, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	size := e.tmpl.size()
	m := &image{slot: sl, step: size + 1, order: make([]uint64, 0, count), bytes: make([]byte, 0, count*(size+1))}
	seen := make([]bool, count)
	var buf, since []byte
	for len(m.order) < count {
		req, _ := s.pullRequest(sl, since, page)
		if buf, err = c.pulled(buf, req); err != nil {
			return nil, err
		}
		if n := len(buf); n < size+2 || (n-1)%m.step != 0 || n/m.step > page {
			return nil, fmt.Errorf("after %d events of %d: page of %d bytes", len(m.order), count, n)
		}
		// The bound's windows have commas where brackets belong.
		if !s.bound() && (buf[0] != '[' || buf[len(buf)-1] != ']') {
			return nil, fmt.Errorf("page is no array: %.20q", buf)
		}
		for rest := buf[1:]; len(rest) > 0; rest = rest[m.step:] {
			n, err := e.tmpl.number(rest[:size])
			if err != nil {
				return nil, err
			}
			if n >= uint64(count) || seen[n] {
				return nil, fmt.Errorf("event %d is not one of this slot, or came twice", n)
			}
			if len(rest) > m.step && rest[size] != ',' {
				return nil, fmt.Errorf("no comma between two events: %q", rest[size])
			}
			seen[n] = true
			m.order = append(m.order, n)
		}
		m.bytes = append(m.bytes, buf[1:]...)
		m.bytes[len(m.bytes)-1] = ','
		since = e.tmpl.appendID(since[:0], m.order[len(m.order)-1])
	}
	return m, nil
}

// pulled sends a pull and reads the page that it brings into buf, grown where
// it is too small.
func (c *rawConn) pulled(buf, req []byte) ([]byte, error) {
	h, err := c.exchange(req)
	if err != nil {
		return buf, err
	}
	if h.status != 200 {
		return buf, c.statusError(h, 200)
	}
	return c.body(buf, h.length)
}

// sameWindow checks a body against the events that it must hold.
func (m *image) sameWindow(body []byte, first, n int, bound bool) error {
	want := m.window(first, n)
	if len(body) != len(want)+2 || !bytes.Equal(body[1:len(body)-1], want) {
		return fmt.Errorf("window of %d events at position %d: wrong bytes", n, first)
	}
	if !bound && (body[0] != '[' || body[len(body)-1] != ']') {
		return fmt.Errorf("window of %d events at position %d: no array", n, first)
	}
	return nil
}
