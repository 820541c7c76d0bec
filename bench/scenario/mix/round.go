package mix

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// A mixRound is what the agents of one round share. All that they do is due at
// fixed times, whatever the answers take, and its latency counts from there.
type mixRound struct {
	*mixRunner
	base             uint64 // number of event 0
	begin, from, end time.Time
	poll, burst, gap time.Duration
	each             int // events that one agent may post

	phase atomic.Int32
	ops   atomic.Int64
	log   load.ErrorLog
	// sent is when the post of an event began, in ns since begin. It is stored
	// before the post and loaded at the delivery.
	sent []atomic.Int64
	// One goroutine writes to any one place of these: the event's poster, and
	// the poller and the reader of the agent that it is for.
	acked, polled, streamed []bool
	streamedN               atomic.Int64
	ackedN                  atomic.Int64
	unsent                  atomic.Int64
	closed                  atomic.Bool // we are closing the streams

	mu                               sync.Mutex
	polls, anew, posts, deliver, lag load.Histogram
}

func (r *mixRunner) newRound() *mixRound {
	cfg := r.e.Config
	fast := func(d time.Duration) time.Duration { return time.Duration(float64(d) / cfg.MixSpeed) }
	m := &mixRound{
		mixRunner: r, base: r.next, poll: fast(mixPoll), burst: fast(mixBurst), gap: fast(mixGap),
		polls: load.NewHistogram(), anew: load.NewHistogram(), posts: load.NewHistogram(), deliver: load.NewHistogram(), lag: load.NewHistogram(),
	}
	m.each = mixPosts * (int((cfg.Warmup+cfg.Duration)/m.burst) + 1)
	n := m.each * len(r.agents)
	r.next += uint64(n)
	m.sent = make([]atomic.Int64, n)
	m.acked, m.polled, m.streamed = make([]bool, n), make([]bool, n), make([]bool, n)
	return m
}

// reader is the agent that event i is for: each burst of an agent goes to
// another one than the last, and none to itself.
func (m *mixRound) reader(i int) int {
	n := len(m.agents)
	from, burst := i/m.each, i%m.each/mixPosts
	return (from + 1 + (burst*7+from)%(n-1)) % n
}

// event is the place of the event with that number among those of the round
// that are for agent a.
func (m *mixRound) event(number uint64, a *agent) (int, error) {
	i := number - m.base
	if i >= uint64(len(m.acked)) || m.reader(int(i)) != a.i {
		return 0, fmt.Errorf("agent %d got event %d, which was not posted to it in this round", a.i, number)
	}
	return int(i), nil
}

// sum fills in the figures of the round.
func (m *mixRound) sum(out *load.Sample, before, after proc.Usage) {
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

// done counts an operation that was due at due, and was right if err is nil.
func (m *mixRound) done(h load.Histogram, due time.Time, err error) {
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

// await waits until the streams have had every event that was acknowledged.
func (m *mixRound) await(ctx context.Context) {
	for end := time.Now().Add(wire.AnswerGrace); m.streamedN.Load() < m.ackedN.Load(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil || time.Now().After(end) {
			return
		}
	}
}

// catchUp lets every agent poll what came after its last poll.
func (m *mixRound) catchUp(ctx context.Context) error {
	for _, a := range m.agents {
		for before := -1; before != len(a.polled); {
			before = len(a.polled)
			if err := a.polling.Try(ctx, func(c *wire.Conn) error { return a.pull(c, m) }); err != nil {
				m.log.Add(fmt.Errorf("a poll after the round: %w", err))
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		a.polling.Close()
	}
	return nil
}

// verify counts events that were acknowledged and are missing, in a stream or
// in the polls, and agents whose stream had another order than their polls.
func (m *mixRound) verify() {
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

// sleepUntil waits until due and records how late it is woken.
func (m *mixRound) sleepUntil(ctx context.Context, due time.Time) error {
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

// late says that what was due at due can't be done any more in this round.
func (m *mixRound) late(due time.Time, h load.Histogram) bool {
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
