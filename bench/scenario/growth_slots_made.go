package scenario

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"cowrelay/bench/load"
	"cowrelay/bench/wire"
)

// slotSamples is how many slots are pulled from after a start.
const slotSamples = 100

// A slotSample keeps some of the slots that are made, by chance. It is safe for
// several goroutines.
type slotSample struct {
	mu   sync.Mutex // guards kept
	kept []load.Slot
}

// add keeps the first slots, and replaces them by later ones with the chance
// that all are kept with.
func (l *slotSample) add(n int, sl load.Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) < slotSamples {
		l.kept = append(l.kept, sl)
	} else if i := rand.IntN(n + 1); i < slotSamples {
		l.kept[i] = sl
	}
}

// check pulls from all kept slots: they must be there, and empty.
func (l *slotSample) check(ctx context.Context, s *load.Server) error {
	c, err := wire.Dial(ctx, s.Addr, wire.SmallBuffer)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()
	var buf []byte
	for _, sl := range l.kept {
		req, _ := s.PullRequest(sl, nil, 1)
		if buf, err = c.Pulled(buf, req); err != nil {
			return fmt.Errorf("a slot after a start: %w", err)
		}
		if !bytes.Equal(buf, wire.EmptyPage) {
			return fmt.Errorf("a slot after a start holds %.100q, want %s", buf, wire.EmptyPage)
		}
	}
	return nil
}

// An allocator makes slots over one connection.
type allocator struct {
	wire.Link
	s    *load.Server
	keep func(n int, sl load.Slot)
}

func (a *allocator) Do(ctx context.Context, n int) error {
	return a.Try(ctx, func(c *wire.Conn) error {
		sl, err := a.s.Allocate(c)
		if err == nil {
			a.keep(n, sl)
		}
		return err
	})
}
