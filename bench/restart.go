package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// restartSamples is the number of slots that are read after a start, beside the
// one whose pull is timed.
const restartSamples = 50

// restartScenarios kill the relay while it takes posts and time its start. The
// page cache is as warm as the kill leaves it: what is measured is what the
// relay does before it serves, not how fast a disk is.
func restartScenarios(cfg *Config) []scenario {
	size := cfg.eventBytes(2048)
	events := max(1, int(cfg.RestartBytes/int64(cfg.RestartSlots)/int64(size)))
	sc := scenario{
		name:    "restart",
		variant: fmt.Sprintf("%s slots with %d x %d B each, killed under posts", count(float64(cfg.RestartSlots)), events, size),
		unit:    "starts", files: max(restartConns, cfg.Posters), ownsRelay: true,
		bound: BoundConfig{EventBytes: size},
	}
	if most := cfg.RestartSlots + cfg.Posters*cfg.Rounds; most > slotsOfRelay {
		sc.relayArgs = []string{"--max-slots", fmt.Sprint(most)}
	}
	plain := sc
	sc.drive = func(ctx context.Context, e *env, relay, _ *side) ([]Result, error) {
		return driveRestart(ctx, e, plain, relay, events)
	}
	return []scenario{sc}
}

// restartConns is the number of connections that store what is there before.
const restartConns = 256

func driveRestart(ctx context.Context, e *env, sc scenario, relay *side, events int) ([]Result, error) {
	st := &stored{e: e, events: events, slots: make([]slot, e.cfg.RestartSlots)}
	e.track.step("storing " + sc.variant)
	s, err := e.runNumbers(ctx, relay, min(restartConns, len(st.slots)), 0, len(st.slots), func() numbered {
		return &storer{link: link{addr: relay.addr, buffer: apiBuffer}, st: st, s: relay}
	}, e.track.prepared)
	if err != nil {
		return nil, err
	}
	if s.Errors > 0 {
		return nil, fmt.Errorf("cannot store: %s", s.FirstError)
	}
	var ready, right []Sample
	next := uint64(len(st.slots)) * uint64(events)
	for n := range e.cfg.Rounds {
		e.track.step(fmt.Sprintf("round %d of %d", n+1, e.cfg.Rounds))
		e.track.prepared(float64(n) / float64(e.cfg.Rounds))
		tail, err := e.killUnderPosts(ctx, relay, &next)
		if err != nil {
			return nil, err
		}
		i := rand.IntN(len(st.slots))
		began := time.Now()
		took, err := e.start(ctx, relay)
		if err != nil {
			return nil, err
		}
		ready = append(ready, timed(took))
		wrong := st.check(ctx, relay, i)
		one := timed(time.Since(began))
		for range restartSamples {
			if wrong == nil {
				wrong = st.check(ctx, relay, rand.IntN(len(st.slots)))
			}
		}
		if wrong == nil {
			wrong = tail.check(ctx, e, relay)
		}
		if wrong != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			one.Errors, one.FirstError = 1, wrong.Error()
		}
		right = append(right, one)
	}
	var out []Result
	for _, part := range []struct {
		what, curve string
		samples     []Sample
	}{{"start to readiness", "ready", ready}, {"start to a right page of a cold slot", "right page", right}} {
		one := sc
		one.variant += ", " + part.what
		one.point = &Point{Curve: part.curve, Axis: "slots", X: float64(len(st.slots))}
		out = append(out, compare(one, part.samples, nil, worst))
	}
	return out, nil
}

// restart stops the relay, or kills it, and starts it on the data that is
// there. It returns how long the start took, from the process to readiness.
func (e *env) restart(ctx context.Context, relay *side, end func(*child) error) (time.Duration, error) {
	if err := relay.end(end); err != nil {
		return 0, err
	}
	return e.start(ctx, relay)
}

func (e *env) start(ctx context.Context, relay *side) (time.Duration, error) {
	began := time.Now()
	s, err := startRelay(ctx, e.cfg.Relay, e.args, e.dir)
	if err != nil {
		return 0, err
	}
	*relay = *s
	return time.Since(began), nil
}

// end ends the process of a side.
func (s *side) end(by func(*child) error) error {
	p := s.proc
	s.proc = nil // it is gone, or can't be ended
	return by(p)
}

// stored is what the slots of restart hold: events of their own, in order.
type stored struct {
	e      *env
	slots  []slot
	events int // of each slot
}

// check reads slot i over a new connection.
func (st *stored) check(ctx context.Context, s *side, i int) error {
	n, err := st.e.readInOrder(ctx, s, st.slots[i], uint64(i*st.events), st.events)
	if err != nil {
		return fmt.Errorf("a slot after a start: %w", err)
	}
	if n != st.events {
		return fmt.Errorf("a slot holds %d events of %d after a start", n, st.events)
	}
	return nil
}

// readInOrder reads at most most events of a slot, from the oldest, and checks
// that they are first, first+1 and so on, byte for byte. It returns how many
// there are.
func (e *env) readInOrder(ctx context.Context, s *side, sl slot, first uint64, most int) (n int, err error) {
	c, err := dialRaw(ctx, s.addr, apiBuffer)
	if err != nil {
		return 0, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	if err := c.c.SetDeadline(time.Now().Add(startTimeout)); err != nil {
		return 0, err
	}
	size := e.tmpl.size()
	var buf, since []byte
	for n < most {
		req, _ := s.pullRequest(sl, since, min(most-n, 1000))
		if buf, err = c.pulled(buf, req); err != nil {
			return n, err
		}
		if string(buf) == string(emptyPage) {
			return n, nil
		}
		if (len(buf)-1)%(size+1) != 0 || buf[0] != '[' || buf[len(buf)-1] != ']' {
			return n, fmt.Errorf("after %d events: page of %d bytes", n, len(buf))
		}
		for rest := buf[1:]; len(rest) > 0; rest = rest[size+1:] {
			got, err := e.tmpl.number(rest[:size])
			if err != nil {
				return n, err
			}
			if want := first + uint64(n); got != want {
				return n, fmt.Errorf("event %d where %d must be", got, want)
			}
			n++
		}
		since = e.tmpl.appendID(since[:0], first+uint64(n)-1)
	}
	return n, nil
}

// A storer makes slots and fills them, over one connection.
type storer struct {
	link
	st *stored
	s  *side
}

func (w *storer) do(ctx context.Context, n int) error {
	return w.try(ctx, func(c *rawConn) error {
		sl, err := w.s.allocate(c)
		if err != nil {
			return err
		}
		w.st.slots[n] = sl
		p := w.s.newPost(sl, w.st.e.tmpl)
		for k := range w.st.events {
			if err := c.store(p.number(uint64(n*w.st.events + k))); err != nil {
				return err
			}
		}
		return nil
	})
}

// A tail is what was posted last before a kill.
type tail struct {
	slots []slot
	first []uint64
	acked []int // posts that were acknowledged
}

// killUnderPosts lets each poster post to a slot of its own and kills the relay
// meanwhile.
func (e *env) killUnderPosts(ctx context.Context, relay *side, next *uint64) (*tail, error) {
	slots, err := relay.allocateN(ctx, e.cfg.Posters)
	if err != nil {
		return nil, err
	}
	var (
		t     = &tail{slots: slots, acked: make([]int, len(slots))}
		wg    sync.WaitGroup
		log   errorLog
		dying atomic.Bool
		ps    []*poster
	)
	for i, sl := range slots {
		p := newPoster(e, relay, sl, *next)
		t.first = append(t.first, *next)
		*next += numbersPerPoster
		ps = append(ps, p)
		wg.Go(func() {
			defer p.close()
			for p.room > 0 && !dying.Load() {
				if err := p.do(ctx); err != nil {
					if !dying.Load() {
						log.add(fmt.Errorf("a post before the kill: %w", err))
					}
					return
				}
				t.acked[i]++
			}
		})
	}
	waited := e.wait(ctx, e.cfg.Warmup+e.cfg.Duration)
	dying.Store(true)
	err = relay.end((*child).kill)
	awaitWorkers(&wg, &log, func() {
		for _, p := range ps {
			p.interrupt()
		}
	})
	if err = errors.Join(waited, err); err != nil {
		return nil, err
	}
	var s Sample
	if log.into(&s); s.Errors > 0 {
		return nil, errors.New(s.FirstError)
	}
	return t, nil
}

// check reads what the posters had posted: all that was acknowledged is there,
// and at most the one post beyond that was on its way.
func (t *tail) check(ctx context.Context, e *env, s *side) error {
	for i, sl := range t.slots {
		n, err := e.readInOrder(ctx, s, sl, t.first[i], t.acked[i]+2)
		if err != nil {
			return fmt.Errorf("what was posted before the kill: %w", err)
		}
		if n < t.acked[i] || n > t.acked[i]+1 {
			return fmt.Errorf("%d posts were acknowledged before the kill, and %d are there", t.acked[i], n)
		}
	}
	return nil
}
