package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"cowrelay/bench/fleet/call"
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/report"
	"cowrelay/bench/wire"
)

// pulls of a slot in memory: a relay of the fleet by turns with one that has a
// journal of its own.
func (b *bench) pulls(ctx context.Context) (err error) {
	const conns, page = 16, 100
	dir := b.folder("alone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	alone, err := load.StartRelay(ctx, nil, b.cfg.Relay, nil, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.Stop()) }()
	sides := []*load.Server{b.relays[0], alone}
	slots := make([]load.Slot, len(sides))
	for i, s := range sides {
		p := load.NewBatchPoster(b.session.Template, s, page, b.numbers(1))
		err := p.Do(ctx)
		p.Close()
		if err != nil {
			return err
		}
		slots[i] = p.Slot
	}
	samples := make([][]load.Sample, len(sides))
	for round := range b.cfg.Rounds {
		for k := range sides {
			i := (round + k) % len(sides)
			b.cfg.Step(fmt.Sprintf("pull: round %d of %d, %s", round+1, b.cfg.Rounds, sides[i].Name))
			var ws []load.Worker
			for range conns {
				ws = append(ws, newPuller(sides[i], slots[i], page, b.cfg.EventBytes))
			}
			s, err := b.session.RunClosed(ctx, &load.Server{Name: sides[i].Name}, ws)
			if err != nil {
				return err
			}
			samples[i] = append(samples[i], s)
		}
	}
	b.emit(report.Compare(report.Subject{
		Scenario: "fleet-pull", Variant: fmt.Sprintf("%d conns, %d x %d B of a slot in memory", conns, page, b.cfg.EventBytes), Unit: "requests",
		Peer: "a relay alone", Promises: "the same, on its own disk",
	}, samples[0], samples[1], report.Throughput))
	return nil
}

// puller pulls a slot's first page.
type puller struct {
	wire.Link
	req   []byte
	least int // bytes of the page
	buf   []byte
}

func newPuller(s *load.Server, sl load.Slot, page, size int) *puller {
	req := s.Get("/v1/events/" + sl.ID + fmt.Sprintf("?from=0&limit=%d", page))
	req = append(bytes.TrimSuffix(req, []byte("\r\n")), "Authorization: Bearer "+sl.Token+"\r\n\r\n"...)
	return &puller{Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, req: req, least: page * size}
}

func (p *puller) Do(ctx context.Context) error {
	return p.Try(ctx, func(c *wire.Conn) (err error) {
		if p.buf, err = c.Pulled(p.buf, p.req); err == nil && len(p.buf) < p.least {
			err = fmt.Errorf("a page has %d bytes, and should have %d: %.100s", len(p.buf), p.least, p.buf)
		}
		return err
	})
}

// cold times first pulls of slots after a start of their relay.
func (b *bench) cold(ctx context.Context) error {
	const page = 20
	b.cfg.Step("cold: filling slots")
	var slots []load.Slot
	p := load.NewBatchPoster(b.session.Template, b.relays[0], page, b.numbers(1))
	defer p.Close()
	made, err := b.relays[0].AllocateN(ctx, b.cfg.Cold)
	if err != nil {
		return err
	}
	first := b.numbers(1)
	for _, sl := range made {
		req := b.relays[0].NewBatch(sl, b.session.Template, page)
		err := p.Try(ctx, func(c *wire.Conn) error { return c.Store(req.From(first)) })
		if err != nil {
			return err
		}
		first += page
		slots = append(slots, sl)
	}
	b.cfg.Step("cold: starting a relay")
	r := b.fleet.Members[2]
	if err := r.Stop(); err != nil {
		return err
	}
	if err := errors.Join(r.Start(ctx), r.Ready(ctx)); err != nil {
		return err
	}
	b.cfg.Step("cold: pulling")
	s := load.Sample{Hist: load.NewHistogram()}
	a, err := proc.ReadUsage(0)
	if err != nil {
		return err
	}
	link := wire.Link{Addr: b.relays[2].Addr, Buffer: wire.SmallBuffer}
	defer link.Close()
	if _, err := link.Get(ctx); err != nil { // the first pull does not pay for the connect
		return err
	}
	for _, sl := range slots {
		w := newPuller(b.relays[2], sl, page, b.cfg.EventBytes)
		began := time.Now()
		err := link.Try(ctx, func(c *wire.Conn) (err error) {
			if w.buf, err = c.Pulled(nil, w.req); err == nil && len(w.buf) < w.least {
				err = fmt.Errorf("a cold page has %d bytes, and should have %d", len(w.buf), w.least)
			}
			return err
		})
		if err != nil {
			return err
		}
		s.Hist.Record(time.Since(began))
		s.Ops++
	}
	e, err := proc.ReadUsage(0)
	if err != nil {
		return err
	}
	s.Account(a, e)
	s.Latency = s.Hist.Latency()
	b.emit(report.Compare(report.Subject{
		Scenario: "fleet-cold", Variant: fmt.Sprintf("first pull of each of %d slots of %d x %d B, one after the other, after a start", len(slots), page, b.cfg.EventBytes), Unit: "requests",
	}, []load.Sample{s}, nil, report.TailP99))
	return nil
}

// replay times how a relay that was down comes back to the others.
func (b *bench) replay(ctx context.Context) error {
	r := b.fleet.Members[2]
	if err := r.Stop(); err != nil {
		return err
	}
	const posters = 8
	last := make([]*load.BatchPoster, posters)
	for i := range last {
		last[i] = load.NewBatchPoster(b.session.Template, b.relays[i%2], b.cfg.Batch, b.numbers(1))
	}
	defer func() {
		for _, p := range last {
			p.Close()
		}
	}()
	var posted int
	errs := make(chan error, posters)
	each := b.cfg.Replay / posters / b.cfg.Batch
	b.cfg.Step(fmt.Sprintf("replay: posting %d events", each*posters*b.cfg.Batch))
	for _, p := range last {
		go func() { // ends with its batches
			for range each {
				if err := p.Do(ctx); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range last {
		if err := <-errs; err != nil {
			return err
		}
		posted += each * b.cfg.Batch
	}
	b.cfg.Step("replay")
	began := time.Now()
	if err := errors.Join(r.Start(ctx), r.Ready(ctx)); err != nil {
		return err
	}
	ready := time.Since(began)
	// A consistent pull waits for all that was acknowledged.
	c := call.NewClient(call.NewRecorder(), b.fleet.Relays(), nil)
	defer c.Close()
	sl := call.Slot{ID: last[0].Slot.ID, Token: last[0].Slot.Token}
	for {
		k := c.Pull(ctx, 2, sl, call.Page{Limit: 1, Consistent: true})
		if k.Status == 200 {
			break
		}
		if ctx.Err() != nil || time.Since(began) > 5*time.Minute {
			return fmt.Errorf("the relay did not catch up: status %d %s", k.Status, k.Text)
		}
	}
	took := time.Since(began)
	s := load.Sample{Ops: int64(posted), Seconds: took.Seconds(), PerSec: float64(posted) / took.Seconds(), Hist: load.NewHistogram()}
	b.emit(report.Compare(report.Subject{
		Scenario: "fleet-replay", Variant: fmt.Sprintf("%d events of %d B in batches of %d, from the relay's start to its first consistent pull", posted, b.cfg.EventBytes, b.cfg.Batch), Unit: "events",
		Note: fmt.Sprintf("ready after %v", ready.Round(time.Millisecond)),
	}, []load.Sample{s}, nil, report.Throughput))
	return nil
}
