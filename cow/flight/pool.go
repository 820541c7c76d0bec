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

// By says who waits for a load.
type By struct {
	Client uint64          // turns are shared out among clients; 0 is nobody in particular
	Ended  <-chan struct{} // closed when the wait is to end; may be nil
}

// Pool is where loads get their turn. NewPool makes it; it must not be copied.
type Pool struct {
	limits  Limits
	waiting atomic.Int64  // requests that wait for a load, or for a turn
	closing chan struct{} // closed by Stop
	wg      sync.WaitGroup

	mu      sync.Mutex // guards what follows, and the flights of the pool's groups
	closed  bool       // wg grows only while it is false
	running int        // loads that have their turn
	lines   lines      // those that wait for one
}

// NewPool returns a pool in which nothing runs.
func NewPool(limits Limits) *Pool {
	return &Pool{limits: limits, closing: make(chan struct{}), lines: lines{of: make(map[uint64]*line)}}
}

// Waiting returns how many requests wait.
func (p *Pool) Waiting() int { return int(p.waiting.Load()) }

// Running returns how many loads run.
func (p *Pool) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

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

// ticketFor returns a ticket for a load of about so many bytes that the client wants.
// p.mu must be held.
func (p *Pool) ticketFor(bytes int64, client uint64) *ticket {
	t := &ticket{turn: make(chan struct{}), cost: costOf(bytes)}
	if p.running < p.limits.Turns {
		p.running++
		p.begin(t)
	} else {
		p.lines.add(t, client)
	}
	return t
}

// begin gives a ticket its turn. p.mu must be held.
func (p *Pool) begin(t *ticket) {
	t.over = true
	close(t.turn)
}

// turn waits until a load may run. If it returns nil, endTurn must be called behind
// the load. In a pool that is stopped none begins.
func (p *Pool) turn(t *ticket) error {
	timer := time.NewTimer(p.limits.Timeout)
	defer timer.Stop()
	late := false
	select {
	case <-t.turn:
	case <-timer.C:
		late = true
	case <-p.closing:
	}
	stopped := false
	select {
	case <-p.closing:
		stopped = true
	default:
	}
	switch hadTurn := !p.gaveUp(t); {
	case stopped && hadTurn:
		p.endTurn()
	case hadTurn:
		return nil
	case late && !stopped:
		return p.Refuse()
	}
	return p.limits.Closed
}

// gaveUp takes a ticket out of the lines. False: it has its turn.
func (p *Pool) gaveUp(t *ticket) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.over {
		return false
	}
	t.over = true
	return true
}

// endTurn gives the turn to whoever is next.
func (p *Pool) endTurn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.lines.next(); t != nil {
		p.begin(t)
	} else {
		p.running--
	}
}

// Go runs f on a goroutine of its own when it is its turn. f is given the reason if
// its turn never comes; in a pool that is stopped, before Go returns.
func (p *Pool) Go(f func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		f(p.limits.Closed)
		return
	}
	t := p.ticketFor(0, 0)
	p.wg.Go(func() {
		err := p.turn(t)
		if err == nil {
			defer p.endTurn()
		}
		f(err)
	})
}

// Do runs f on the caller's goroutine when it is its turn, or returns the reason
// why its turn never comes.
func (p *Pool) Do(f func() error) error {
	if err := p.wait(); err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.leave()
		return p.limits.Closed
	}
	p.wg.Add(1)
	defer p.wg.Done()
	t := p.ticketFor(0, 0)
	p.mu.Unlock()
	err := p.turn(t)
	p.leave()
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
