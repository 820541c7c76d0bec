package replaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cowrelay/cow/replay"
)

// SharedFaults say how often things go wrong between a client and a Server, in
// thousandths of the calls of Send. The zero value does nothing.
type SharedFaults struct {
	Lose    int // the entry does not arrive
	Double  int // it arrives twice
	Late    int // it arrives up to Delay later, behind others
	Cut     int // the connection breaks for up to Delay, and what is on its way is lost
	Silent  int // of the lost ones and the broken connections, so many in a thousand give no sign of trouble
	Refuse  int // Send returns an error
	Delay   time.Duration
	Latency time.Duration // of each entry, on its way back
}

// Server is a shared log in memory. NewServer makes it; it must not be copied.
type Server struct {
	id replay.LogID

	mu      sync.Mutex
	first   uint64        // number of entries[0]; guarded by mu
	entries [][]byte      // guarded by mu; entries never change
	grown   chan struct{} // closed when an entry comes; guarded by mu
	rng     *rand.Rand    // guarded by mu
	faults  SharedFaults  // guarded by mu
	paused  chan struct{} // closed when the server goes on; nil while it runs; guarded by mu
	late    sync.WaitGroup
}

// NewServer makes an empty log. The seed decides what goes wrong.
func NewServer(seed uint64) *Server {
	s := &Server{first: 1, grown: make(chan struct{}), rng: rand.New(rand.NewPCG(seed, 3))}
	for i := range s.id {
		s.id[i] = byte(s.rng.Uint32())
	}
	return s
}

// SetFaults says what goes wrong from now on.
func (s *Server) SetFaults(f SharedFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Pause holds the log up until resume is called. What is sent meanwhile arrives then.
func (s *Server) Pause() (resume func()) {
	c := make(chan struct{})
	s.mu.Lock()
	s.paused = c
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.paused = nil
		s.mu.Unlock()
		close(c)
	}
}

// Wait returns when nothing is late any more.
func (s *Server) Wait() { s.late.Wait() }

// Len is the number of the newest entry.
func (s *Server) Len() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first + uint64(len(s.entries)) - 1
}

// Change replaces an entry that the log keeps, as damage would.
func (s *Server) Change(seq uint64, change func(entry []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := seq - s.first
	s.entries[i] = change(bytes.Clone(s.entries[i]))
}

// Cut drops the entries behind a number, as a server that lost its disk would.
func (s *Server) Cut(last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = s.entries[: last-s.first+1 : last-s.first+1]
}

func (s *Server) store(entry []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entry)
	close(s.grown)
	s.grown = make(chan struct{})
}

// hold returns when the server runs.
func (s *Server) hold(ctx context.Context) error {
	for {
		s.mu.Lock()
		c := s.paused
		s.mu.Unlock()
		if c == nil {
			return nil
		}
		select {
		case <-c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Client makes a connection to the log.
func (s *Server) Client() *SharedLog {
	c := &SharedLog{s: s, trouble: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.arrived = sync.NewCond(&c.mu)
	return c
}

// SharedLog is one relay's connection to a Server.
type SharedLog struct {
	s       *Server
	trouble chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	arrived *sync.Cond
	next    uint64    // ticket of the next Send; guarded by mu
	turn    uint64    // ticket of the Send that may arrive; guarded by mu
	down    time.Time // the connection is broken until then; guarded by mu
	since   time.Time // when it broke; guarded by mu
	closed  bool      // guarded by mu
}

var _ replay.SharedLog = (*SharedLog)(nil)

// ErrCut is what Send of a broken connection returns.
var ErrCut = errors.New("replaytest: the connection is broken")

// ID implements replay.SharedLog.
func (c *SharedLog) ID() replay.LogID { return c.s.id }

// Limit implements replay.SharedLog.
func (c *SharedLog) Limit() int { return 1<<20 - 4096 }

// Trouble implements replay.SharedLog.
func (c *SharedLog) Trouble() <-chan struct{} { return c.trouble }

func (c *SharedLog) cry() {
	select {
	case c.trouble <- struct{}{}:
	default:
	}
}

// Break breaks the connection for a while.
func (c *SharedLog) Break(d time.Duration) { c.breakFor(d, false) }

func (c *SharedLog) breakFor(d time.Duration, silent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
	c.down = c.since.Add(d)
	if !silent {
		time.AfterFunc(d, c.cry)
	}
}

// Away implements replay.SharedLog.
func (c *SharedLog) Away() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.down) {
		return c.since
	}
	return time.Time{}
}

// Send implements replay.SharedLog. When it has returned, the entry may be
// overwritten.
func (c *SharedLog) Send(entry []byte) error {
	if len(entry) > c.Limit() {
		return fmt.Errorf("BUG: an entry of %d bytes", len(entry))
	}
	s := c.s
	s.mu.Lock()
	f := s.faults
	roll := func(n int) bool { return n > 0 && s.rng.IntN(1000) < n }
	lose, double, late, cut, refuse, silent := roll(f.Lose), roll(f.Double), roll(f.Late), roll(f.Cut), roll(f.Refuse), roll(f.Silent)
	delay := time.Duration(1)
	if f.Delay > 0 {
		delay = time.Duration(s.rng.Int64N(int64(f.Delay)))
	}
	s.mu.Unlock()
	switch {
	case c.isClosed():
		return errors.New("BUG: send on a closed log")
	case !c.Away().IsZero(), refuse:
		return ErrCut
	case cut:
		c.breakFor(delay, silent)
		return nil
	case lose:
		if !silent {
			c.cry()
		}
		return nil
	}
	mine := bytes.Clone(entry)
	s.late.Add(1)
	if late {
		go func() {
			defer s.late.Done()
			time.Sleep(delay)
			s.hold(context.Background())
			s.store(mine)
		}()
		return nil
	}
	c.mu.Lock()
	ticket := c.next
	c.next++
	c.mu.Unlock()
	go func() {
		defer s.late.Done()
		s.hold(context.Background())
		c.mu.Lock()
		for c.turn != ticket {
			c.arrived.Wait()
		}
		s.store(mine)
		if double {
			s.store(mine)
		}
		c.turn++
		c.arrived.Broadcast()
		c.mu.Unlock()
	}()
	return nil
}

func (c *SharedLog) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Follow implements replay.SharedLog. When yield has returned, the bytes it was given
// are overwritten.
func (c *SharedLog) Follow(ctx context.Context, from uint64, yield func(seq uint64, entry []byte) error) error {
	s := c.s
	for next := from; ; {
		if at := c.Away(); !at.IsZero() {
			c.mu.Lock()
			d := time.Until(c.down)
			c.mu.Unlock()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-c.ctx.Done():
				return errors.New("the log was closed")
			case <-time.After(d):
			}
			continue
		}
		if err := s.hold(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		if next < s.first {
			s.mu.Unlock()
			return fmt.Errorf("%w: entry %d", replay.ErrTrimmed, next)
		}
		grown, latency := s.grown, s.faults.Latency
		var entry []byte
		if i := next - s.first; i < uint64(len(s.entries)) {
			entry = bytes.Clone(s.entries[i])
		}
		s.mu.Unlock()
		if entry == nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-c.ctx.Done():
				return errors.New("the log was closed")
			case <-grown:
			}
			if latency > 0 {
				time.Sleep(latency)
			}
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := yield(next, entry)
		clear(entry)
		if err != nil {
			return err
		}
		next++
	}
}

// Ends implements replay.SharedLog.
func (c *SharedLog) Ends(ctx context.Context) (first, last uint64, err error) {
	if !c.Away().IsZero() {
		return 0, 0, ErrCut
	}
	if err := c.s.hold(ctx); err != nil {
		return 0, 0, err
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.first, c.s.first + uint64(len(c.s.entries)) - 1, nil
}

// Purge implements replay.SharedLog.
func (c *SharedLog) Purge(_ context.Context, seq uint64) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq >= s.first {
		n := min(seq-s.first+1, uint64(len(s.entries)))
		s.entries, s.first = s.entries[n:], s.first+n
	}
	return nil
}

// Close implements replay.SharedLog.
func (c *SharedLog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("BUG: closed twice")
	}
	c.closed = true
	c.cancel()
	return nil
}
