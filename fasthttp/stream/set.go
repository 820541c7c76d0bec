package stream

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/share"
)

// Options are the habits of all streams. A zero field takes its default.
type Options struct {
	Heartbeat    time.Duration // between two comment lines of an idle stream (12 s)
	WriteTimeout time.Duration // for one piece, at most frame.MaxPiece bytes (10 s)
	SendBuffer   int           // bytes of kernel send buffer a stream (64 KiB)
	Writers      int           // goroutines that write (twice GOMAXPROCS)
}

func (o *Options) setDefaults() {
	if o.Heartbeat == 0 {
		o.Heartbeat = 12 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.SendBuffer == 0 {
		o.SendBuffer = 64 << 10
	}
	if o.Writers == 0 {
		o.Writers = 2 * runtime.GOMAXPROCS(0)
	}
}

// Env is the world of the streams. All fields are needed. Its functions may be
// called concurrently.
type Env struct {
	// Now is the clock that wakes are told by, in nanoseconds.
	Now func() int64
	// Subscribe opens a cursor into a slot; see cow.Store.Subscribe.
	Subscribe func(slot *cow.Slot, start cow.Start, ids frame.IDs, w cow.Waker) (*cow.Subscriber, error)
	// Draining says whether the server above has begun to stop.
	Draining func() bool
	// Lag is told the time from an event being visible to the first write of it to
	// a stream. It is called at every write of events, so it must be cheap.
	Lag func(time.Duration)
	// Faulted is told of a panic, on the goroutine that panicked, with its stack
	// still there. where says what ran.
	Faulted func(where string, fault any)
	Logger  *slog.Logger
}

// Set is all open streams and what runs them. A few writers take the streams
// from one queue, a wheel asks them for comment lines, and hang-ups hear which
// clients have left. New makes it; Drain and then Stop end it. It must not be
// copied.
type Set struct {
	env   Env
	opts  Options
	queue queue
	wheel wheel
	hangs *Hangups

	open   atomic.Int64
	opened atomic.Uint64
	ended  [Reasons]atomic.Uint64

	events  atomic.Uint64 // written in whole
	written atomic.Uint64 // bytes

	books   *share.Ledger[uint64] // how many each client has
	share   atomic.Int64          // how many one client may have
	refused struct{ cap, share, slot atomic.Uint64 }

	writers sync.WaitGroup // and the wheel
	readers sync.WaitGroup // the hang-ups, and where there is no epoll a goroutine a stream
	waits   sync.WaitGroup // goroutines that wait on behalf of a stream, or close one
	quit    chan struct{}  // closed by Stop: ends the wheel
}

// New returns a set without streams, with its writers running. It admits none
// before SetMost.
func New(env Env, opts Options) *Set {
	opts.setDefaults()
	s := &Set{env: env, opts: opts, quit: make(chan struct{}), books: share.New[uint64](0, 0)}
	hangs, err := newHangups()
	if err != nil {
		env.Logger.Error("each stream takes a goroutine: cannot watch them together", "error", err)
	}
	s.hangs = hangs
	s.readers.Go(func() { labeled("stream-hangups", hangs.run) })
	s.queue.nonEmpty.L = &s.queue.mu
	s.wheel.init(s)
	for range opts.Writers {
		s.writers.Go(func() { labeled("stream-writer", s.write) })
	}
	s.writers.Go(func() { labeled("stream-wheel", s.wheel.run) })
	return s
}

// Len returns how many streams are open now.
func (s *Set) Len() int64 { return s.open.Load() }

// Opened returns how many streams were ever opened.
func (s *Set) Opened() uint64 { return s.opened.Load() }

// Written returns how many events and bytes were written to streams.
func (s *Set) Written() (events, bytes uint64) { return s.events.Load(), s.written.Load() }

// Queued returns how many streams have something to write and wait for a writer.
func (s *Set) Queued() int64 { return s.queue.len.Load() }

// Ended returns how many streams ended for a reason.
func (s *Set) Ended(why Reason) uint64 { return s.ended[why].Load() }

// Refused returns how many streams were refused: because there were as many as
// there may be and none could give way, as many as one client may have, and as
// many as a slot may have.
func (s *Set) Refused() (cap, share, slot uint64) {
	return s.refused.cap.Load(), s.refused.share.Load(), s.refused.slot.Load()
}

// Stalled returns how many streams wait for their connection, their socket or the
// store. It looks at every stream.
func (s *Set) Stalled() (n int) {
	s.wheel.each(func(st *Stream) {
		if st.state.Load() == stateWaiting {
			n++
		}
	})
	return n
}

// Hangups returns what watches the connections of streams. It may watch others
// too, until Stop.
func (s *Set) Hangups() *Hangups { return s.hangs }

// write is a writer's life.
func (s *Set) write() {
	w := newWriter(frame.MaxPiece)
	for {
		st := s.queue.pop()
		if st == nil {
			return
		}
		st.state.Store(stateRunning)
		s.serve(st, w)
	}
}

// serve keeps a fault in one stream from ending the others.
func (s *Set) serve(st *Stream, w *writer) {
	defer s.rescue("stream", func() { st.close(EndPanic) })
	st.serve(w)
}

// rescue, deferred, tells the Env of a panic, and then runs after.
func (s *Set) rescue(where string, after func()) {
	if fault := recover(); fault != nil {
		s.env.Faulted(where, fault)
		if after != nil {
			after()
		}
	}
}

// labeled runs f under a pprof label: go tool pprof -tagfocus=relay=stream-writer.
func labeled(name string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("relay", name), func(context.Context) { f() })
}
