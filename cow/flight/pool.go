package flight

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limits are how a pool lets its callers wait.
type Limits struct {
	Turns   int           // loads that may run at once
	Waiters int           // requests that may wait at once
	Timeout time.Duration // how long a request waits for a load, and a load for its turn

	Busy    error  // what a wait that took too long ends with, or one too many
	Closed  error  // what waits end with when the pool is stopped
	Refused func() // called for each Busy
}

// Pool is where loads get their turn. NewPool makes it; it must not be copied.
type Pool struct {
	limits  Limits
	turns   chan struct{} // holds one token for each load that runs; its capacity is Limits.Turns
	waiting atomic.Int64  // requests that wait for a load, or for a turn
	closing chan struct{} // closed by Stop
	wg      sync.WaitGroup

	mu     sync.Mutex // guards closed and the flights of the pool's groups
	closed bool       // wg grows only while it is false
}

// NewPool returns a pool in which nothing runs.
func NewPool(limits Limits) *Pool {
	return &Pool{limits: limits, turns: make(chan struct{}, limits.Turns), closing: make(chan struct{})}
}

// Waiting returns how many requests wait.
func (p *Pool) Waiting() int { return int(p.waiting.Load()) }

// Running returns how many loads run.
func (p *Pool) Running() int { return len(p.turns) }

// Closing is closed when the pool is stopped. Loads that run should end then.
func (p *Pool) Closing() <-chan struct{} { return p.closing }

// Refuse counts a wait that ends, and returns Limits.Busy.
func (p *Pool) Refuse() error {
	p.limits.Refused()
	return p.limits.Busy
}

// wait counts a request in that is about to wait, unless too many do. If it
// returns nil, leave must be called behind the wait.
func (p *Pool) wait() error {
	if p.waiting.Add(1) > int64(p.limits.Waiters) {
		p.waiting.Add(-1)
		return p.Refuse()
	}
	return nil
}

func (p *Pool) leave() { p.waiting.Add(-1) }

// turn waits until a load may run. If it returns nil, endTurn must be called behind
// the load.
func (p *Pool) turn() error {
	select {
	case <-p.closing:
		return p.limits.Closed
	default:
	}
	select {
	case p.turns <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(p.limits.Timeout)
	defer timer.Stop()
	select {
	case p.turns <- struct{}{}:
		return nil
	case <-timer.C:
		return p.Refuse()
	case <-p.closing:
		return p.limits.Closed
	}
}

func (p *Pool) endTurn() { <-p.turns }

// Go runs f on a goroutine of its own when it is its turn. f is given the reason if
// its turn never comes; in a pool that is stopped, before Go returns.
func (p *Pool) Go(f func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		f(p.limits.Closed)
		return
	}
	p.wg.Go(func() {
		err := p.turn()
		if err == nil {
			defer p.endTurn()
		}
		f(err)
	})
}

// Do runs f on the caller's goroutine when it is its turn, or returns the reason
// why its turn never comes.
func (p *Pool) Do(f func() error) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return p.limits.Closed
	}
	p.wg.Add(1)
	p.mu.Unlock()
	defer p.wg.Done()
	err := p.wait()
	if err == nil {
		err = p.turn()
		p.leave()
	}
	if err != nil {
		return err
	}
	defer p.endTurn()
	return f()
}

// Stop makes all who wait give up, and lets no other load begin. It may be called
// again.
func (p *Pool) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
}

// Finish waits for the loads that run. Stop must have been called.
func (p *Pool) Finish() { p.wg.Wait() }
