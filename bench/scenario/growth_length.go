package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

const (
	// lengthTurns is how many turns each slot gets in a round.
	lengthTurns = 10
	// lengthPosts and lengthPulls are how many requests of each kind a slot gets in
	// a round, at most.
	lengthPosts, lengthPulls = 200, 1000
)

// A grownSlot is one of the slots of different lengths. All its requests go
// over one connection.
type grownSlot struct {
	wire.Link
	e     *run.Env
	count int // how many events it had when it was filled
	m     *load.Image
	next  uint64 // the number of the next post
	post  load.PostRequest
	pull  []byte
	numAt int // the offset of the number in pull
	since []byte
	page  int // the offset of the number in since
	buf   []byte
}

// lengthCurves are what is done to each slot.
var lengthCurves = []struct {
	name string
	most int // requests in a round
	do   func(g *grownSlot, c *wire.Conn) error
}{
	{"post", lengthPosts, (*grownSlot).postNext},
	{"poll", lengthPulls, (*grownSlot).poll},
	{"since", lengthPulls, (*grownSlot).pullSince},
}

// driveLengths fills all slots and then serves them by turns, a few requests
// each. So a machine that drifts drifts for all of them.
func driveLengths(ctx context.Context, e *run.Env, relay *load.Server) ([]report.Result, error) {
	lengths := e.Config.GrowthLengths
	var slots []*grownSlot
	for _, n := range lengths {
		e.Track.Step(fmt.Sprintf("filling a slot of %s events", load.Thousands(float64(n))))
		g, err := growSlot(ctx, e, relay, n)
		if err != nil {
			return nil, err
		}
		defer g.Close()
		slots = append(slots, g)
	}
	// The shortest slot may not grow by more than half.
	share := lengths[0] / (2 * e.Config.Rounds)
	samples := make([][][]load.Sample, len(lengthCurves))
	for i := range samples {
		samples[i] = make([][]load.Sample, len(slots))
	}
	for n := range e.Config.Rounds {
		e.Track.Step(fmt.Sprintf("round %d of %d", n+1, e.Config.Rounds))
		e.Track.Prepared(float64(n) / float64(e.Config.Rounds))
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
	var out []report.Result
	for i, curve := range lengthCurves {
		for k, g := range slots {
			sub := report.Subject{
				Scenario: "growth", Unit: "requests",
				Variant: fmt.Sprintf("%s, 1 conn, %d B, slot of %s events", curve.name, e.Template.Size(), load.Thousands(float64(g.count))),
				Point:   &report.Point{Curve: curve.name, Axis: "events", X: float64(g.count)},
			}
			r := report.Compare(sub, samples[i][k], nil, report.MedianP50)
			r.VsFirst = report.Ratios(report.MedianP50.Each(samples[i][k]), report.MedianP50.Each(samples[i][0]))
			out = append(out, r)
		}
	}
	e.Track.Step("reading the slots back")
	for k, g := range slots {
		// The first curve is that of the posts.
		if posts := &out[k].Relay; posts.Errors == 0 {
			if _, err := e.ReadBack(ctx, relay, g.m.Slot, int(g.next), e.Config.Page); err != nil {
				posts.Wrong(fmt.Errorf("cannot read the slot back: %w", err))
			}
		}
	}
	return out, ctx.Err()
}

// growSlot makes a slot of n events.
func growSlot(ctx context.Context, e *run.Env, s *load.Server, n int) (*grownSlot, error) {
	m, err := e.FillSlot(ctx, s, n, e.Config.Page)
	if err != nil {
		return nil, err
	}
	g := &grownSlot{
		Link: wire.Link{Addr: s.Addr, Buffer: wire.SmallBuffer}, e: e, count: n, m: m, next: uint64(n),
		post: s.NewPost(m.Slot, e.Template),
	}
	newest := e.Template.AppendID(nil, m.Order[n-1])
	g.pull, g.numAt = s.PullRequest(m.Slot, newest, e.Config.Page)
	g.since, g.page = s.PullRequest(m.Slot, newest, run.SinceLimit)
	return g, nil
}

// roundOfLengths does so many requests on every slot, a few at a time.
func roundOfLengths(ctx context.Context, slots []*grownSlot, each int, do func(*grownSlot, *wire.Conn) error) ([]load.Sample, error) {
	out := make([]load.Sample, len(slots))
	logs := make([]load.ErrorLog, len(slots))
	spent := make([]time.Duration, len(slots))
	for i := range out {
		out[i].Hist = load.NewHistogram()
	}
	for turn := range lengthTurns {
		for i, g := range slots {
			for range each*(turn+1)/lengthTurns - each*turn/lengthTurns {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				c, err := g.Get(ctx)
				if err != nil {
					return nil, err
				}
				begin := time.Now()
				if err := c.TCP.SetDeadline(begin.Add(wire.AnswerGrace)); err != nil {
					return nil, err
				}
				err = do(g, c)
				took := time.Since(begin)
				spent[i] += took
				if err != nil {
					logs[i].Add(err)
					g.Fail()
					continue
				}
				out[i].Ops++
				out[i].Hist.Record(took)
			}
		}
	}
	for i := range out {
		out[i].Latency = out[i].Hist.Latency()
		out[i].Seconds = spent[i].Seconds()
		if out[i].Seconds > 0 {
			out[i].PerSec = float64(out[i].Ops) / out[i].Seconds
		}
		logs[i].Into(&out[i])
	}
	return out, nil
}

// postNext posts one event, which poll takes as known.
func (g *grownSlot) postNext(c *wire.Conn) error {
	n := g.next
	g.next++
	if err := c.Store(g.post.Number(n)); err != nil {
		return err
	}
	wire.PutHex(g.pull[g.numAt:], n)
	return nil
}

// poll is a pull by a client that knows all events.
func (g *grownSlot) poll(c *wire.Conn) error {
	b, err := g.answer(c, g.pull)
	if err == nil && !slices.Equal(b, wire.EmptyPage) {
		err = fmt.Errorf("an up-to-date client got %.100q, want %s", b, wire.EmptyPage)
	}
	return err
}

// pullSince pulls a short page at a random place.
func (g *grownSlot) pullSince(c *wire.Conn) error {
	since := rand.IntN(len(g.m.Order) - run.SinceLimit)
	wire.PutHex(g.since[g.page:], g.m.Order[since])
	b, err := g.answer(c, g.since)
	if err != nil {
		return err
	}
	return g.m.SameWindow(b, since+1, run.SinceLimit, false)
}

// answer returns the body of a pull. It is valid until the next one.
func (g *grownSlot) answer(c *wire.Conn, req []byte) ([]byte, error) {
	var err error
	g.buf, err = c.Pulled(g.buf, req)
	return g.buf, err
}
