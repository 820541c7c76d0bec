package conn

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"cowrelay/fasthttp/accept"
)

// ErrFault is what the server hears where a panic left nothing to return.
var ErrFault = errors.New("a fault in the relay")

// Options are what a Set needs of the relay. Those without a default must be set.
type Options struct {
	Places       *accept.Places // what connections take and give back
	MostConns    int            // that have places
	ArrivalBytes int64          // memory of requests that are arriving
	PieceTimeout time.Duration  // for one piece of a reply, at most frame.MaxPiece bytes
	// HeaderTimeout is from the first byte of a request to the end of its header, and
	// IdleTimeout between two requests. They are for connections that another program
	// has accepted.
	HeaderTimeout, IdleTimeout time.Duration
	// PrologueTimeout is for all that comes before the first request (10 s).
	PrologueTimeout time.Duration
	// MayShake says whether the client of a connection may begin one more handshake of
	// TLS, and which client that is (it may).
	MayShake func(*Conn) (accept.Client, bool)
	CPUs     float64 // processors that the process may use (one); see gate
	// Trusted says whether a peer may tell whose connection it is (nobody may).
	Trusted func(netip.Addr) bool
	Logger  *slog.Logger
	// Faulted is told of a panic, on the goroutine that panicked, with its stack
	// still there. where says what ran.
	Faulted func(where string, fault any)

	Grace time.Duration // what an arriving request has before it may give way as slow (500 ms)
	Now   func() int64  // the clock of arrivals (Set.Now)
}

// Set is what the connections of the public listeners share. NewSet makes it; it
// must not be copied.
type Set struct {
	opts     Options
	made     time.Time
	Arrivals *Arrivals

	open      atomic.Int64
	lingering atomic.Int64 // see Conn.Close

	cuts       cuts
	hand       hand
	proxy      [proxyResults]atomic.Uint64
	handshakes [handshakeResults]atomic.Uint64
	gate       *gate // of handshakes
	// toldTooMany is when the log told of refused handshakes last, 0 for never.
	toldTooMany atomic.Int64

	// Bytes that connections have read and written, those of streams written
	// aside. Each has a cache line of its own.
	_   [64]byte
	in  atomic.Uint64
	_   [56]byte
	out atomic.Uint64
	_   [56]byte
}

// NewSet returns a set without connections.
func NewSet(opts Options) *Set {
	s := &Set{opts: opts, made: time.Now()}
	if s.opts.Grace == 0 {
		s.opts.Grace = Grace
	}
	if s.opts.PrologueTimeout == 0 {
		s.opts.PrologueTimeout = 10 * time.Second
	}
	if s.opts.MayShake == nil {
		s.opts.MayShake = func(*Conn) (accept.Client, bool) { return 0, true }
	}
	if s.opts.CPUs <= 0 {
		s.opts.CPUs = 1
	}
	s.gate = newGate(s.opts.CPUs)
	if s.opts.Trusted == nil {
		s.opts.Trusted = func(netip.Addr) bool { return false }
	}
	if s.opts.Now == nil {
		s.opts.Now = s.Now
	}
	s.Arrivals = newArrivals(opts.ArrivalBytes, s.opts.Grace, s.opts.Now)
	return s
}

// Now is the clock of deadlines: nanoseconds since the set was made.
func (s *Set) Now() int64 { return int64(time.Since(s.made)) }

// Cuts counts the replies that were cut, by reason.
func (s *Set) Cuts() []atomic.Uint64 { return s.cuts.count[:] }

// ProxyHeaders counts headers of the PROXY protocol, by result.
func (s *Set) ProxyHeaders() []atomic.Uint64 { return s.proxy[:] }

// Handshakes counts those of TLS, by result.
func (s *Set) Handshakes() []atomic.Uint64 { return s.handshakes[:] }

// HandshakeTime is how long handshakes of TLS have waited to compute, and how long they
// have computed, all together.
func (s *Set) HandshakeTime() (waited, computed time.Duration) {
	return time.Duration(s.gate.waited.Load()), time.Duration(s.gate.pace.computed.Load())
}

// Traffic is how many bytes connections have read, and how many they have written
// but for those of streams.
func (s *Set) Traffic() (in, out uint64) { return s.in.Load(), s.out.Load() }

// Len is how many connections are open, those that are turned away included.
func (s *Set) Len() int64 { return s.open.Load() }

// rescue, deferred, tells of a panic, and then runs after.
func (s *Set) rescue(where string, after func()) {
	if fault := recover(); fault != nil {
		s.opts.Faulted(where, fault)
		if after != nil {
			after()
		}
	}
}

// spawn runs f on a goroutine of its own, under that pprof label.
func (s *Set) spawn(label string, f func()) {
	go pprof.Do(context.Background(), pprof.Labels("relay", label), func(context.Context) {
		defer s.rescue(label, nil)
		f()
	})
}
