package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"cowrelay/bench/wire"
)

// FillConns is how many connections fill a slot before a run.
const FillConns = 128

// An Image is what a slot holds, as its server gave it back after the slot was
// filled. All events have one size.
type Image struct {
	Slot  Slot
	Order []uint64 // number of the event at each position
	bytes []byte   // the events in order, each with one byte that separates it from the next
	step  int      // bytes from one event to the next
}

// Window returns the events at positions [first, first+n) as a server must send
// them, without the brackets around them.
func (m *Image) Window(first, n int) []byte {
	return m.bytes[first*m.step : (first+n)*m.step-1]
}

// NewSlot makes a slot of count events. The bound has its events from its
// start.
func (e *Session) NewSlot(ctx context.Context, s *Server, count int) (Slot, error) {
	sl, err := s.AllocateN(ctx, 1)
	if err != nil {
		return Slot{}, err
	}
	if !s.Bound() {
		if err := e.fill(ctx, s, sl[0], count); err != nil {
			return Slot{}, fmt.Errorf("cannot fill a slot: %w", err)
		}
	}
	return sl[0], nil
}

// FillSlot makes a slot of count events and reads all of it back.
func (e *Session) FillSlot(ctx context.Context, s *Server, count, page int) (*Image, error) {
	sl, err := e.NewSlot(ctx, s, count)
	if err != nil {
		return nil, err
	}
	m, err := e.ReadBack(ctx, s, sl, count, page)
	if err != nil {
		return nil, fmt.Errorf("cannot read a slot back: %w", err)
	}
	return m, nil
}

// fill posts events 0 to count-1, in any order.
func (e *Session) fill(ctx context.Context, s *Server, sl Slot, count int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		log  ErrorLog
		errs Sample
	)
	for range min(FillConns, count) {
		wg.Go(func() {
			c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
			if err != nil {
				log.Add(err)
				cancel()
				return
			}
			defer c.Close()
			defer context.AfterFunc(ctx, c.Close)()
			p := s.NewPost(sl, e.Template)
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= int64(count) {
					return
				}
				if err := c.Store(p.Number(uint64(n))); err != nil {
					log.Add(err)
					cancel()
					return
				}
				if n%1024 == 0 {
					e.Track.Prepared(float64(n) / float64(count))
				}
			}
		})
	}
	wg.Wait()
	if log.Into(&errs); errs.Errors > 0 {
		return errors.New(errs.FirstError)
	}
	return ctx.Err()
}

// ReadBack pulls a whole slot page by page and checks every event: it is one of
// those that were posted, byte for byte, and comes once.
func (e *Session) ReadBack(ctx context.Context, s *Server, sl Slot, count, page int) (*Image, error) {
	c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	size := e.Template.Size()
	m := &Image{Slot: sl, step: size + 1, Order: make([]uint64, 0, count), bytes: make([]byte, 0, count*(size+1))}
	seen := make([]bool, count)
	var buf, since []byte
	for len(m.Order) < count {
		req, _ := s.PullRequest(sl, since, page)
		if buf, err = c.Pulled(buf, req); err != nil {
			return nil, err
		}
		if n := len(buf); n < size+2 || (n-1)%m.step != 0 || n/m.step > page {
			return nil, fmt.Errorf("after %d events of %d: page of %d bytes", len(m.Order), count, n)
		}
		// The bound's windows have commas where brackets belong.
		if !s.Bound() && (buf[0] != '[' || buf[len(buf)-1] != ']') {
			return nil, fmt.Errorf("page is no array: %.20q", buf)
		}
		for rest := buf[1:]; len(rest) > 0; rest = rest[m.step:] {
			n, err := e.Template.Number(rest[:size])
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
			m.Order = append(m.Order, n)
		}
		m.bytes = append(m.bytes, buf[1:]...)
		m.bytes[len(m.bytes)-1] = ','
		since = e.Template.AppendID(since[:0], m.Order[len(m.Order)-1])
	}
	return m, nil
}

// SameWindow compares a body with the events that it must hold. The bound has
// commas in the place of the brackets.
func (m *Image) SameWindow(body []byte, first, n int, bound bool) error {
	want := m.Window(first, n)
	if len(body) != len(want)+2 || !bytes.Equal(body[1:len(body)-1], want) {
		return fmt.Errorf("window of %d events at position %d: wrong bytes", n, first)
	}
	if !bound && (body[0] != '[' || body[len(body)-1] != ']') {
		return fmt.Errorf("window of %d events at position %d: no array", n, first)
	}
	return nil
}
