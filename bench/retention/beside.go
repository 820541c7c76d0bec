package retention

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/record"
	"cowrelay/bench/wire"
)

// beside posts single events at a fixed rate, slice after slice, until it is stopped.
type beside struct {
	session load.Session
	workers []load.Worker
	rate    float64
	slice   time.Duration
	w       *record.Writer[entry]
	zero    time.Time
	phase   *atomic.Pointer[string]
	stop    atomic.Bool
	wg      sync.WaitGroup

	// Of the goroutine, until wg is done.
	of  map[string]load.Histogram // by phase
	sum load.Sample               // of all slices: posts and errors
	err error
}

// A poster is one connection that posts single events. It makes a slot before its first
// one, and another when that is full.
type poster struct {
	wire.Link
	s    *load.Server
	of   events
	next uint64 // number of the next event
	slot load.Slot
	room int // events that the slot still takes
	body []byte
}

func (p *poster) Do(ctx context.Context) error {
	return p.Try(ctx, func(c *wire.Conn) (err error) {
		if p.room == 0 {
			if p.slot, err = p.s.Allocate(c); err != nil {
				return err
			}
			p.room = load.SlotEvents(p.of.size)
		}
		p.room--
		p.body = append(p.of.append(append(p.body[:0], wire.PostOpen...), p.next), wire.PostClose...)
		p.next++
		return c.Store(p.s.PostTo("/v1/events/"+p.slot.ID, p.slot, p.body))
	})
}

// Close does nothing: the connection outlives a slice, so that no slice pays for new
// ones.
func (p *poster) Close() {}

// startBeside begins to post to s, to slots without a lifetime of their own.
func startBeside(ctx context.Context, c *Config, w *record.Writer[entry], s *load.Server, seed uint64, zero time.Time, phase *atomic.Pointer[string]) (*beside, error) {
	b := &beside{rate: c.Rate, slice: c.Every, w: w, zero: zero, phase: phase, of: map[string]load.Histogram{}}
	for i := range besideConns {
		p := &poster{
			Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, s: s,
			of: events{seed, besideBytes}, next: uint64(i) * load.NumbersPerPoster,
		}
		b.workers = append(b.workers, p)
		if err := p.Do(ctx); err != nil {
			b.close()
			return nil, err
		}
		b.sum.Ops++
	}
	b.wg.Go(func() {
		for ctx.Err() == nil && !b.stop.Load() && b.err == nil {
			b.err = b.one(ctx)
		}
	})
	return b, nil
}

// one posts for one slice. All its posts are answered when it returns.
func (b *beside) one(ctx context.Context) error {
	phase, at := *b.phase.Load(), time.Since(b.zero).Seconds()
	l, err := b.session.StartDue(ctx, "a post", b.workers, b.rate, b.slice)
	if err != nil {
		return err
	}
	l.End()
	var out load.Sample
	l.Into(&out)
	if _, ok := b.of[phase]; !ok {
		b.of[phase] = load.NewHistogram()
	}
	b.of[phase].Merge(out.Hist)
	b.sum.Ops += out.Ops
	b.sum.Errors += out.Errors + out.Unsent
	if b.sum.FirstError == "" {
		b.sum.FirstError = out.FirstError
	}
	if b.sum.FirstError == "" && out.Unsent > 0 {
		b.sum.FirstError = "posts could not be sent in time"
	}
	b.w.Put(entry{Slice: &Slice{At: at, Phase: phase, Posts: out.Latency}})
	return nil
}

// end stops the posts behind the slice that runs, and waits for that.
func (b *beside) end() error {
	b.stop.Store(true)
	b.wg.Wait()
	b.close()
	return b.err
}

func (b *beside) close() {
	for _, w := range b.workers {
		w.(*poster).Link.Close()
	}
}
