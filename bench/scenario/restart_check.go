package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// stored is what the slots hold before the kills: events of their own, in
// order.
type stored struct {
	e      *run.Env
	slots  []load.Slot
	events int // in each slot
}

// check reads slot i over a new connection.
func (st *stored) check(ctx context.Context, s *load.Server, i int) error {
	n, err := readInOrder(ctx, st.e, s, st.slots[i], uint64(i*st.events), st.events)
	if err != nil {
		return fmt.Errorf("a slot after a start: %w", err)
	}
	if n != st.events {
		return fmt.Errorf("a slot holds %d events of %d after a start", n, st.events)
	}
	return nil
}

// readInOrder reads at most most events of a slot, from the oldest. It checks
// that they are first, first+1 and so on, byte for byte, and returns how many
// there are.
func readInOrder(ctx context.Context, e *run.Env, s *load.Server, sl load.Slot, first uint64, most int) (n int, err error) {
	c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	if err := c.TCP.SetDeadline(time.Now().Add(load.StartTimeout)); err != nil {
		return 0, err
	}
	size := e.Template.Size()
	var buf, since []byte
	for n < most {
		req, _ := s.PullRequest(sl, since, min(most-n, 1000))
		if buf, err = c.Pulled(buf, req); err != nil {
			return n, err
		}
		if string(buf) == string(wire.EmptyPage) {
			return n, nil
		}
		if (len(buf)-1)%(size+1) != 0 || buf[0] != '[' || buf[len(buf)-1] != ']' {
			return n, fmt.Errorf("after %d events: page of %d bytes", n, len(buf))
		}
		for rest := buf[1:]; len(rest) > 0; rest = rest[size+1:] {
			got, err := e.Template.Number(rest[:size])
			if err != nil {
				return n, err
			}
			if want := first + uint64(n); got != want {
				return n, fmt.Errorf("event %d where %d must be", got, want)
			}
			n++
		}
		since = e.Template.AppendID(since[:0], first+uint64(n)-1)
	}
	return n, nil
}

// A storer makes slots and fills them, over one connection.
type storer struct {
	wire.Link
	st *stored
	s  *load.Server
}

func (w *storer) Do(ctx context.Context, n int) error {
	return w.Try(ctx, func(c *wire.Conn) error {
		sl, err := w.s.Allocate(c)
		if err != nil {
			return err
		}
		w.st.slots[n] = sl
		p := w.s.NewPost(sl, w.st.e.Template)
		for k := range w.st.events {
			if err := c.Store(p.Number(uint64(n*w.st.events + k))); err != nil {
				return err
			}
		}
		return nil
	})
}

// A tail is what the posters posted just before a kill, each to a slot of its
// own.
type tail struct {
	slots []load.Slot
	first []uint64 // the first event number of each slot
	acked []int    // how many posts of each slot were acknowledged
}

// killUnderPosts has each poster post to a slot of its own, and kills the relay
// meanwhile.
func killUnderPosts(ctx context.Context, e *run.Env, relay *load.Server, next *uint64) (*tail, error) {
	slots, err := relay.AllocateN(ctx, e.Config.Posters)
	if err != nil {
		return nil, err
	}
	var (
		t     = &tail{slots: slots, acked: make([]int, len(slots))}
		wg    sync.WaitGroup
		log   load.ErrorLog
		dying atomic.Bool
		ps    []*load.Poster
	)
	for i, sl := range slots {
		p := load.NewPoster(e.Template, relay, sl, *next)
		t.first = append(t.first, *next)
		*next += load.NumbersPerPoster
		ps = append(ps, p)
		wg.Go(func() {
			defer p.Close()
			for p.Room > 0 && !dying.Load() {
				if err := p.Do(ctx); err != nil {
					if !dying.Load() {
						log.Add(fmt.Errorf("a post before the kill: %w", err))
					}
					return
				}
				t.acked[i]++
			}
		})
	}
	waited := e.Wait(ctx, e.Config.Warmup+e.Config.Duration)
	dying.Store(true)
	err = relay.End((*proc.Child).Kill)
	load.AwaitWorkers(&wg, &log, func() {
		for _, p := range ps {
			p.Interrupt()
		}
	})
	if err = errors.Join(waited, err); err != nil {
		return nil, err
	}
	var s load.Sample
	if log.Into(&s); s.Errors > 0 {
		return nil, errors.New(s.FirstError)
	}
	return t, nil
}

// check reads what was posted before the kill. All that was acknowledged is
// there, and at most one post more in each slot, which was on its way.
func (t *tail) check(ctx context.Context, e *run.Env, s *load.Server) error {
	for i, sl := range t.slots {
		n, err := readInOrder(ctx, e, s, sl, t.first[i], t.acked[i]+2)
		if err != nil {
			return fmt.Errorf("what was posted before the kill: %w", err)
		}
		if n < t.acked[i] || n > t.acked[i]+1 {
			return fmt.Errorf("%d posts were acknowledged before the kill, and %d are there", t.acked[i], n)
		}
	}
	return nil
}
