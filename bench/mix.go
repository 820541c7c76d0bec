package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A day of an agent, at the speed of the clock: it polls over a new connection
// each time, holds a stream, and now and then posts a few events, over one
// connection, to the slot of another agent. One poll in mixAnew reads from the
// oldest event, as that of a client does that was started anew.
const (
	mixPoll    = 5 * time.Second
	mixAnew    = 12
	mixBurst   = time.Minute // from one burst to the next
	mixPosts   = 4           // of a burst
	mixGap     = 200 * time.Millisecond
	mixHistory = 20 // events that a slot has from the start
)

// mixConnects is how many connections of mix may be in TIME_WAIT at once: each
// poll leaves one, and each burst.
func (c *Config) mixConnects() int {
	day := min(time.Duration(c.Rounds)*(c.Warmup+c.Duration), timeWait).Seconds() * c.MixSpeed
	return int(float64(c.MixAgents) * (day/mixPoll.Seconds() + day/mixBurst.Seconds() + 2*float64(c.Rounds) + 1))
}

func mixScenarios(cfg *Config) []scenario {
	return []scenario{{
		name:    "mix",
		variant: fmt.Sprintf("a day of %s agents, %g times as fast", count(float64(cfg.MixAgents)), cfg.MixSpeed),
		unit:    "operations", files: 3 * cfg.MixAgents,
		ports:    cfg.mixConnects(),
		bound:    BoundConfig{EventBytes: cfg.eventBytes(512)},
		open:     openMix,
		compared: partLatencies,
	}}
}

// mixRunner has the agents, whose cursors last over the rounds.
type mixRunner struct {
	e      *env
	s      *side
	from   *sources
	slots  []slot
	agents []*agent
	next   uint64 // first number of the next round
}

// openMix gives every agent a slot with some history, which it reads.
func openMix(ctx context.Context, e *env, s *side) (runner, error) {
	slots, err := s.allocateN(ctx, e.cfg.MixAgents)
	if err != nil {
		return nil, err
	}
	r := &mixRunner{e: e, s: s, slots: slots, from: newSources(s.addr, e.cfg.mixConnects())}
	n := mixHistory * len(slots)
	r.next = uint64(n)
	out, err := e.runNumbers(ctx, s, fillConns, 0, n, func() numbered { return newHistorian(r) }, e.track.prepared)
	if err != nil {
		return nil, err
	}
	if out.Errors > 0 {
		return nil, fmt.Errorf("cannot fill the slots: %s", out.FirstError)
	}
	for i := range slots {
		a := newAgent(r, i)
		r.agents = append(r.agents, a)
		if err := a.readHistory(ctx); err != nil {
			return nil, fmt.Errorf("agent %d: %w", i, err)
		}
	}
	return r, nil
}

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
	log   errorLog
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
	polls, anew, posts, deliver, lag histogram
}

func (r *mixRunner) newRound() *mixRound {
	cfg := r.e.cfg
	fast := func(d time.Duration) time.Duration { return time.Duration(float64(d) / cfg.MixSpeed) }
	m := &mixRound{
		mixRunner: r, base: r.next, poll: fast(mixPoll), burst: fast(mixBurst), gap: fast(mixGap),
		polls: newHistogram(), anew: newHistogram(), posts: newHistogram(), deliver: newHistogram(), lag: newHistogram(),
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

func (r *mixRunner) round(ctx context.Context) (out Sample, err error) {
	m := r.newRound()
	var readers, workers sync.WaitGroup
	defer func() {
		m.closed.Store(true)
		for _, a := range r.agents {
			a.closeStream()
		}
		readers.Wait()
	}()
	for _, a := range r.agents {
		if err := a.begin(ctx); err != nil {
			return out, fmt.Errorf("cannot open a stream: %w", err)
		}
		readers.Go(func() { a.read(m) })
	}
	m.begin = time.Now()
	m.from = m.begin.Add(r.e.cfg.Warmup)
	m.end = m.from.Add(r.e.cfg.Duration)
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, a := range r.agents {
		workers.Go(func() { a.pollAll(work, m) })
		workers.Go(func() { a.postAll(work, m) })
	}
	before, err := readUsage(r.s.pid)
	var after usage
	if err == nil {
		before, after, err = r.e.measure(ctx, r.s, r.e.cfg.Duration, &m.phase)
	}
	if err != nil {
		cancel()
	}
	awaitWorkers(&workers, &m.log, func() {
		cancel()
		for _, a := range r.agents {
			a.polling.interrupt()
			a.posting.interrupt()
		}
	})
	if err != nil {
		return out, err
	}
	m.await(ctx)
	m.closed.Store(true)
	for _, a := range r.agents {
		a.closeStream()
	}
	readers.Wait()
	if err := m.catchUp(ctx); err != nil {
		return out, err
	}
	m.verify()
	m.sum(&out, before, after)
	return out, ctx.Err()
}

// sum fills in the figures of the round.
func (m *mixRound) sum(out *Sample, before, after usage) {
	out.Ops = m.ops.Load()
	out.account(before, after)
	out.hist = m.polls
	out.Latency = m.polls.latency()
	out.parts = map[string]histogram{"poll": m.polls, "poll anew": m.anew, "post": m.posts, "delivery": m.deliver}
	out.Parts = latenciesOf(out.parts)
	lag := m.lag.latency()
	out.Lag = &lag
	out.Unsent = m.unsent.Load()
	m.log.into(out)
}

// done counts an operation that was due at due, and was right if err is nil.
func (m *mixRound) done(h histogram, due time.Time, err error) {
	now := time.Now()
	if err != nil {
		m.log.add(err)
	} else if m.phase.Load() == measuring {
		m.ops.Add(1)
	}
	if !due.Before(m.from) {
		m.mu.Lock()
		h.record(now.Sub(due))
		m.mu.Unlock()
	}
}

// await waits until the streams have had every event that was acknowledged.
func (m *mixRound) await(ctx context.Context) {
	for end := time.Now().Add(answerGrace); m.streamedN.Load() < m.ackedN.Load(); time.Sleep(time.Millisecond) {
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
			if err := a.polling.try(ctx, func(c *rawConn) error { return a.pull(c, m) }); err != nil {
				m.log.add(fmt.Errorf("a poll after the round: %w", err))
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		a.polling.close()
	}
	return nil
}

// verify counts events that were acknowledged and are missing, in a stream or
// in the polls, and agents whose stream had another order than their polls.
func (m *mixRound) verify() {
	for i, acked := range m.acked {
		if acked && !m.streamed[i] {
			m.log.add(fmt.Errorf("event %d was acknowledged and did not come at the stream of agent %d", m.base+uint64(i), m.reader(i)))
		}
		if acked && !m.polled[i] {
			m.log.add(fmt.Errorf("event %d was acknowledged and no poll of agent %d got it", m.base+uint64(i), m.reader(i)))
		}
	}
	for _, a := range m.agents {
		polled := a.polled[a.before:]
		for i := range min(len(polled), len(a.streamed)) {
			if polled[i] != a.streamed[i] {
				m.log.add(fmt.Errorf("agent %d: event %d is at position %d of its stream, event %d of its polls", a.i, a.streamed[i], i, polled[i]))
				break
			}
		}
	}
}
