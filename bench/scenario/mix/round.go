package mix

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

func (r *runner) newRound() *round {
	cfg := r.e.Config
	fast := func(d time.Duration) time.Duration { return time.Duration(float64(d) / cfg.MixSpeed) }
	m := &round{
		runner: r, base: r.next, poll: fast(pollEvery), burst: fast(burstEvery), gap: fast(postGap),
		polls: load.NewHistogram(), anew: load.NewHistogram(), posts: load.NewHistogram(), deliver: load.NewHistogram(), lag: load.NewHistogram(),
	}
	m.each = burstPosts * (int((cfg.Warmup+cfg.Duration)/m.burst) + 1)
	n := m.each * len(r.agents)
	r.next += uint64(n)
	m.sentNs = make([]atomic.Int64, n)
	m.acked, m.polled, m.streamed = make([]bool, n), make([]bool, n), make([]bool, n)
	return m
}

// reader returns the agent that event i is for. Each burst of an agent goes to
// another one than the last, and none to itself.
func (m *round) reader(i int) int {
	n := len(m.agents)
	from, burst := i/m.each, i%m.each/burstPosts
	return (from + 1 + (burst*7+from)%(n-1)) % n
}

// event returns the index in this round of the event with that number, which
// must be for agent a.
func (m *round) event(number uint64, a *agent) (int, error) {
	i := number - m.base
	if i >= uint64(len(m.acked)) || m.reader(int(i)) != a.i {
		return 0, fmt.Errorf("agent %d got event %d, which was not posted to it in this round", a.i, number)
	}
	return int(i), nil
}

// sum fills in the figures of the round.
func (m *round) sum(out *load.Sample, before, after proc.Usage) {
	out.Ops = m.ops.Load()
	out.Account(before, after)
	out.Hist = m.polls
	out.Latency = m.polls.Latency()
	out.PartHists = map[string]load.Histogram{"poll": m.polls, "poll anew": m.anew, "post": m.posts, "delivery": m.deliver}
	out.Parts = load.LatenciesOf(out.PartHists)
	lag := m.lag.Latency()
	out.Lag = &lag
	out.Unsent = m.unsent.Load()
	m.log.Into(out)
}

// done counts an operation that was due at due. It was right if err is nil.
func (m *round) done(h load.Histogram, due time.Time, err error) {
	now := time.Now()
	if err != nil {
		m.log.Add(err)
	} else if m.phase.Load() == load.Measuring {
		m.ops.Add(1)
	}
	if !due.Before(m.from) {
		m.mu.Lock()
		h.Record(now.Sub(due))
		m.mu.Unlock()
	}
}

// await waits until every acknowledged event has come at its stream.
func (m *round) await(ctx context.Context) {
	for end := time.Now().Add(wire.AnswerGrace); m.streamedN.Load() < m.ackedN.Load(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil || time.Now().After(end) {
			return
		}
	}
}

// verify counts acknowledged events that are missing in a stream or in the
// polls, and agents whose stream had another order than their polls.
func (m *round) verify() {
	for i, acked := range m.acked {
		if acked && !m.streamed[i] {
			m.log.Add(fmt.Errorf("event %d was acknowledged and did not come at the stream of agent %d", m.base+uint64(i), m.reader(i)))
		}
		if acked && !m.polled[i] {
			m.log.Add(fmt.Errorf("event %d was acknowledged and no poll of agent %d got it", m.base+uint64(i), m.reader(i)))
		}
	}
	for _, a := range m.agents {
		polled := a.polled[a.before:]
		for i := range min(len(polled), len(a.streamed)) {
			if polled[i] != a.streamed[i] {
				m.log.Add(fmt.Errorf("agent %d: event %d is at position %d of its stream, event %d of its polls", a.i, a.streamed[i], i, polled[i]))
				break
			}
		}
	}
}

// sleepUntil waits until due, and records how late it was woken.
func (m *round) sleepUntil(ctx context.Context, due time.Time) error {
	if left := time.Until(due); left > 0 {
		t := time.NewTimer(left)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		late := time.Since(due)
		m.mu.Lock()
		m.lag.Record(late)
		m.mu.Unlock()
	}
	return ctx.Err()
}

// late says whether it is too late in this round for what was due at due. Then
// that is counted as unsent.
func (m *round) late(due time.Time, h load.Histogram) bool {
	now := time.Now()
	if now.Before(m.end.Add(load.UnsentGrace)) {
		return false
	}
	if !due.Before(m.from) {
		m.unsent.Add(1)
		m.mu.Lock()
		h.Record(now.Sub(due))
		m.mu.Unlock()
	}
	return true
}
