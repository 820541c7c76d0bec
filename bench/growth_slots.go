package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// slotSamples is the number of slots that are pulled from after a start.
const slotSamples = 100

// settle is how long after its start a relay's memory is read. A variable for
// the tests.
var settle = time.Second

// driveSlots allocates slots up to each number, reads the relay's memory, and
// starts it anew: what it holds then is what a slot takes that nobody uses.
func driveSlots(ctx context.Context, e *env, relay *side) (out []Result, err error) {
	type held struct {
		slots int
		bytes int64
	}
	var (
		slots slotSample
		made  int
		lasts = map[string]held{} // of each curve
	)
	// An empty relay, started like the later ones, is what memory is counted from.
	if _, err := e.restart(ctx, relay, (*child).stop); err != nil {
		return nil, err
	}
	base, err := e.settled(ctx, relay)
	if err != nil {
		return nil, err
	}
	for _, n := range e.cfg.GrowthSlots {
		text := count(float64(n)) + " slots"
		add := func(sc scenario, s Sample, m metric) error {
			now, err := e.settled(ctx, relay)
			if err != nil {
				return err
			}
			sc.name, sc.point.Axis, sc.point.X = "growth", "slots", float64(n)
			r := compare(sc, []Sample{s}, nil, m)
			r.BytesEach = float64(now-base) / float64(n)
			if last, ok := lasts[sc.point.Curve]; ok {
				r.BytesEachMore = float64(now-last.bytes) / float64(n-last.slots)
			}
			lasts[sc.point.Curve] = held{n, now}
			out = append(out, r)
			return nil
		}
		e.track.step("allocating up to " + text)
		s, err := e.runNumbers(ctx, relay, fillConns, made, n, func() numbered {
			return &allocator{link: link{addr: relay.addr, buffer: apiBuffer}, s: relay, keep: slots.add}
		}, e.track.prepared)
		if err != nil {
			return out, err
		}
		made = n
		if err := add(scenario{
			variant: fmt.Sprintf("%s, allocated over %d conns", text, fillConns),
			unit:    "slots", point: &Point{Curve: "slots allocated"},
		}, s, throughput); err != nil || s.Errors > 0 {
			return out, err
		}

		e.track.step("starting with " + text)
		took, err := e.restart(ctx, relay, (*child).stop)
		if err != nil {
			return out, err
		}
		if err := add(scenario{
			variant: text + ", start to readiness",
			unit:    "starts", point: &Point{Curve: "slots cold"},
		}, timed(took), worst); err != nil {
			return out, err
		}
		// Later, since slots that were asked for are not cold.
		if err := slots.check(ctx, relay); err != nil {
			out[len(out)-1].Relay.wrong(err)
		}
	}
	return out, nil
}

// settled returns the relay's memory when it has settled.
func (e *env) settled(ctx context.Context, relay *side) (int64, error) {
	if err := e.wait(ctx, settle); err != nil {
		return 0, err
	}
	return residentMemory(relay.pid)
}

// timed is the sample of one thing that took d.
func timed(d time.Duration) Sample {
	s := Sample{Ops: 1, Seconds: d.Seconds(), hist: newHistogram()}
	s.hist.record(d)
	s.Latency = s.hist.latency()
	s.PerSec = 1 / s.Seconds
	return s
}

// slotSample keeps some of the slots that are made. Safe for several goroutines.
type slotSample struct {
	mu   sync.Mutex
	kept []slot
}

// add keeps the first slots, and later ones by chance in their place.
func (l *slotSample) add(n int, sl slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) < slotSamples {
		l.kept = append(l.kept, sl)
	} else if i := rand.IntN(n + 1); i < slotSamples {
		l.kept[i] = sl
	}
}

// check pulls from all of them: they are there, and empty.
func (l *slotSample) check(ctx context.Context, s *side) error {
	c, err := dialRaw(ctx, s.addr, apiBuffer)
	if err != nil {
		return err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	var buf []byte
	for _, sl := range l.kept {
		req, _ := s.pullRequest(sl, nil, 1)
		if buf, err = c.pulled(buf, req); err != nil {
			return fmt.Errorf("a slot after a start: %w", err)
		}
		if !bytes.Equal(buf, emptyPage) {
			return fmt.Errorf("a slot after a start holds %.100q, want %s", buf, emptyPage)
		}
	}
	return nil
}

// An allocator makes slots over one connection.
type allocator struct {
	link
	s    *side
	keep func(n int, sl slot)
}

func (a *allocator) do(ctx context.Context, n int) error {
	return a.try(ctx, func(c *rawConn) error {
		sl, err := a.s.allocate(c)
		if err == nil {
			a.keep(n, sl)
		}
		return err
	})
}
