package fasthttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"cowrelay/cow"
)

// streams runs all open streams: a few writers take them from one queue, and a
// wheel asks for comment lines.
type streams struct {
	relay *Relay
	queue queue
	wheel wheel
	open  atomic.Int64
	total atomic.Uint64
	ended [endReasons]atomic.Uint64
	lag   histogram // from the wake to the write
	hangs *hangups

	writers sync.WaitGroup
	readers sync.WaitGroup
	waits   sync.WaitGroup
	quit    chan struct{}
}

func defaultWriters() int { return 2 * runtime.GOMAXPROCS(0) }

func newStreams(r *Relay) *streams {
	s := &streams{relay: r, quit: make(chan struct{})}
	hangs, err := newHangups()
	if err != nil {
		r.opts.Logger.Error("each stream takes a goroutine: cannot watch them together", "error", err)
	}
	s.hangs = hangs
	s.readers.Go(func() { labeled("stream-hangups", hangs.run) })
	s.lag.bounds = lagBounds
	s.lag.counts = make([]atomic.Uint64, len(lagBounds)+1)
	s.queue.nonEmpty.L = &s.queue.mu
	s.wheel.init(s)
	for range r.opts.StreamWriters {
		s.writers.Go(func() { labeled("stream-writer", s.write) })
	}
	s.writers.Go(func() { labeled("stream-wheel", s.wheel.run) })
	return s
}

func (s *streams) now() int64 { return s.relay.store.Now() }

// enter counts a stream in, unless there are too many.
func (s *streams) enter() bool {
	most := int64(s.relay.live.Load().MaxStreams)
	if s.open.Add(1) > most {
		s.hangs.sweep()
		if s.open.Load() > most {
			s.open.Add(-1)
			return false
		}
	}
	s.total.Add(1)
	return true
}

// subscribe opens the stream's cursor. Where the slot has too many, those whose
// clients have left, and of which nobody has heard yet, make room.
func (s *streams) subscribe(slot *cow.Slot, resume bool, since []byte, st *stream) (*cow.Subscriber, error) {
	sub, err := s.relay.store.Subscribe(slot, resume, since, st)
	if errors.Is(err, cow.ErrTooManyStreams) {
		s.hangs.sweep()
		sub, err = s.relay.store.Subscribe(slot, resume, since, st)
	}
	return sub, err
}

// write is a writer's life.
func (s *streams) write() {
	w := newWriter(cow.MaxPiece)
	for {
		st := s.queue.pop()
		if st == nil {
			return
		}
		st.state.Store(streamRunning)
		s.guard(st, w)
	}
}

// guard keeps a fault in one stream from ending the others.
func (s *streams) guard(st *stream, w *writer) {
	defer s.relay.rescue("stream", func() { st.close(endPanic) })
	st.serve(w)
}

// watch has the stream closed when its client leaves. A client has nothing to
// say on a stream: what it sends ends it.
func (s *streams) watch(st *stream) {
	if s.hangs.watch(st) {
		return
	}
	s.readers.Go(func() {
		pprof.SetGoroutineLabels(readerLabels) // shared: labels of its own would cost each stream
		readOne(st.conn)
		st.close(endClient)
	})
}

var readerLabels = pprof.WithLabels(context.Background(), pprof.Labels("relay", "stream-reader"))

func readOne(c net.Conn) {
	var b [1]byte
	c.Read(b[:])
}

// drain ends all streams: each gets a retry line, spread over ten seconds so
// that they don't all come back at once, and is closed between two frames.
func (s *streams) drain(ctx context.Context) {
	s.wheel.each(s.askDrain)
	for s.open.Load() > 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			s.wheel.each(func(st *stream) { s.waits.Go(func() { st.close(endDrain) }) })
			return
		}
	}
}

// drainSpread is the longest retry that a drain tells a client.
const drainSpread = 10 * time.Second

func (s *streams) askDrain(st *stream) {
	st.retry.Store(500 + rand.Int64N(drainSpread.Milliseconds()))
	st.asked.Or(askRetry)
	st.Wake(s.now())
}

// stop ends the writers. All streams must have ended.
func (s *streams) stop() {
	close(s.quit)
	s.hangs.close()
	s.readers.Wait()
	s.queue.close()
	s.writers.Wait() // writers start waits, so these are waited for last
	s.waits.Wait()
}

// queue is a list of streams that want to be written to, each at most once. It
// is linked through the streams, so it needs no memory and can't be full.
type queue struct {
	mu          sync.Mutex
	nonEmpty    sync.Cond
	first, last *stream
	idle        int // writers that wait
	closed      bool
}

func (q *queue) push(st *stream) {
	q.mu.Lock()
	st.next = nil
	if q.last == nil {
		q.first = st
	} else {
		q.last.next = st
	}
	q.last = st
	wake := q.idle > 0
	q.mu.Unlock()
	if wake {
		q.nonEmpty.Signal()
	}
}

// pop waits for a stream. Nil: the queue is closed.
func (q *queue) pop() *stream {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.first == nil {
		if q.closed {
			return nil
		}
		q.idle++
		q.nonEmpty.Wait()
		q.idle--
	}
	st := q.first
	if q.first = st.next; q.first == nil {
		q.last = nil
	}
	st.next = nil
	return st
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.nonEmpty.Broadcast()
}
