package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// lengthTurns is the number of turns that each slot gets in a round.
	lengthTurns = 10
	// lengthPosts and lengthPulls are the most of each kind in a round.
	lengthPosts, lengthPulls = 200, 1000
	// sinceLimit is the page of the pulls from a random place.
	sinceLimit = 10
)

// A grownSlot is one of the slots whose lengths make the curve. All its
// requests go over one connection.
type grownSlot struct {
	link
	e     *env
	count int // events when it was built
	m     *image
	next  uint64 // number of the next post
	post  postRequest
	pull  []byte
	numAt int
	since []byte
	page  int // where the number stands in since
	buf   []byte
}

// lengthCurves are what is done to each slot.
var lengthCurves = []struct {
	name string
	most int // in a round
	do   func(g *grownSlot, c *rawConn) error
}{
	{"post", lengthPosts, (*grownSlot).postNext},
	{"poll", lengthPulls, (*grownSlot).poll},
	{"since", lengthPulls, (*grownSlot).pullSince},
}

// driveLengths builds all slots and then takes them by turns, a few requests
// each, so that a machine that drifts drifts for all of them.
func driveLengths(ctx context.Context, e *env, relay *side) ([]Result, error) {
	lengths := e.cfg.GrowthLengths
	var slots []*grownSlot
	for _, n := range lengths {
		e.track.step(fmt.Sprintf("filling a slot of %s events", count(float64(n))))
		g, err := e.growSlot(ctx, relay, n)
		if err != nil {
			return nil, err
		}
		defer g.close()
		slots = append(slots, g)
	}
	// The shortest slot must not grow by more than half.
	share := lengths[0] / (2 * e.cfg.Rounds)
	samples := make([][][]Sample, len(lengthCurves))
	for i := range samples {
		samples[i] = make([][]Sample, len(slots))
	}
	for n := range e.cfg.Rounds {
		e.track.step(fmt.Sprintf("round %d of %d", n+1, e.cfg.Rounds))
		e.track.prepared(float64(n) / float64(e.cfg.Rounds))
		for i, curve := range lengthCurves {
			each := max(1, min(curve.most, share*curve.most/lengthPosts))
			ss, err := roundOfLengths(ctx, slots, each, curve.do)
			if err != nil {
				return nil, err
			}
			for k, s := range ss {
				samples[i][k] = append(samples[i][k], s)
			}
		}
	}
	var out []Result
	for i, curve := range lengthCurves {
		for k, g := range slots {
			sc := scenario{
				name: "growth", unit: "requests",
				variant: fmt.Sprintf("%s, 1 conn, %d B, slot of %s events", curve.name, e.tmpl.size(), count(float64(g.count))),
				point:   &Point{Curve: curve.name, Axis: "events", X: float64(g.count)},
			}
			r := compare(sc, samples[i][k], nil, medianP50)
			r.VsFirst = ratios(medianP50.each(samples[i][k]), medianP50.each(samples[i][0]))
			out = append(out, r)
		}
	}
	e.track.step("reading the slots back")
	for k, g := range slots {
		// The posts are the first curve.
		if posts := &out[k].Relay; posts.Errors == 0 {
			if _, err := e.readBack(ctx, relay, g.m.slot, int(g.next), e.cfg.Page); err != nil {
				posts.wrong(fmt.Errorf("cannot read the slot back: %w", err))
			}
		}
	}
	return out, ctx.Err()
}

// growSlot makes a slot of n events.
func (e *env) growSlot(ctx context.Context, s *side, n int) (*grownSlot, error) {
	m, err := e.fillSlot(ctx, s, n, e.cfg.Page)
	if err != nil {
		return nil, err
	}
	g := &grownSlot{
		link: link{addr: s.addr, buffer: apiBuffer}, e: e, count: n, m: m, next: uint64(n),
		post: s.newPost(m.slot, e.tmpl),
	}
	newest := e.tmpl.appendID(nil, m.order[n-1])
	g.pull, g.numAt = s.pullRequest(m.slot, newest, e.cfg.Page)
	g.since, g.page = s.pullRequest(m.slot, newest, sinceLimit)
	return g, nil
}

// roundOfLengths does each requests on every slot, a few at a time.
func roundOfLengths(ctx context.Context, slots []*grownSlot, each int, do func(*grownSlot, *rawConn) error) ([]Sample, error) {
	out := make([]Sample, len(slots))
	logs := make([]errorLog, len(slots))
	spent := make([]time.Duration, len(slots))
	for i := range out {
		out[i].hist = newHistogram()
	}
	for turn := range lengthTurns {
		for i, g := range slots {
			for range each*(turn+1)/lengthTurns - each*turn/lengthTurns {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				c, err := g.get(ctx)
				if err != nil {
					return nil, err
				}
				begin := time.Now()
				if err := c.c.SetDeadline(begin.Add(answerGrace)); err != nil {
					return nil, err
				}
				err = do(g, c)
				took := time.Since(begin)
				spent[i] += took
				if err != nil {
					logs[i].add(err)
					g.fail()
					continue
				}
				out[i].Ops++
				out[i].hist.record(took)
			}
		}
	}
	for i := range out {
		out[i].Latency = out[i].hist.latency()
		out[i].Seconds = spent[i].Seconds()
		if out[i].Seconds > 0 {
			out[i].PerSec = float64(out[i].Ops) / out[i].Seconds
		}
		logs[i].into(&out[i])
	}
	return out, nil
}

// postNext posts one event; poll follows it.
func (g *grownSlot) postNext(c *rawConn) error {
	n := g.next
	g.next++
	if err := c.store(g.post.number(n)); err != nil {
		return err
	}
	putHex(g.pull[g.numAt:], n)
	return nil
}

// poll is a pull by a client that has everything.
func (g *grownSlot) poll(c *rawConn) error {
	b, err := g.answer(c, g.pull)
	if err == nil && !slices.Equal(b, emptyPage) {
		err = fmt.Errorf("an up-to-date client got %.100q, want %s", b, emptyPage)
	}
	return err
}

// pullSince is a pull of a short page from a random place.
func (g *grownSlot) pullSince(c *rawConn) error {
	since := rand.IntN(len(g.m.order) - sinceLimit)
	putHex(g.since[g.page:], g.m.order[since])
	b, err := g.answer(c, g.since)
	if err != nil {
		return err
	}
	return g.m.sameWindow(b, since+1, sinceLimit, false)
}

// answer returns the body of a pull, valid until the next one.
func (g *grownSlot) answer(c *rawConn, req []byte) ([]byte, error) {
	var err error
	g.buf, err = c.pulled(g.buf, req)
	return g.buf, err
}
