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
	"cowrelay/cow/frame"
	"cowrelay/cow/share"
	"cowrelay/fasthttp/stats"
)

// streams runs all open streams: a few writers take them from one queue, and a
// wheel asks for comment lines.
type streams struct {
	relay *Relay
	queue queue
	wheel wheel
	open  atomic.Int64
	books *share.Ledger[clientKey] // who has how many of them
	total atomic.Uint64
	ended [endReasons]atomic.Uint64
	// Refused, by what there were too many of.
	refusedCap, refusedShare, refusedSlot atomic.Uint64
	lag                                   *stats.Histogram // from the wake to the write
	hangs                                 *hangups

	writers sync.WaitGroup
	readers sync.WaitGroup
	waits   sync.WaitGroup
	quit    chan struct{}
}

func defaultWriters() int { return 2 * runtime.GOMAXPROCS(0) }

func newStreams(r *Relay) *streams {
	s := &streams{relay: r, quit: make(chan struct{}), books: share.New[clientKey](0, 0)}
	hangs, err := newHangups()
	if err != nil {
		r.opts.Logger.Error("each stream takes a goroutine: cannot watch them together", "error", err)
	}
	s.hangs = hangs
	s.readers.Go(func() { labeled("stream-hangups", hangs.run) })
	s.lag = stats.NewHistogram(stats.LagBounds)
	s.queue.nonEmpty.L = &s.queue.mu
	s.wheel.init(s)
	for range r.opts.StreamWriters {
		s.writers.Go(func() { labeled("stream-writer", s.write) })
	}
	s.writers.Go(func() { labeled("stream-wheel", s.wheel.run) })
	return s
}

func (s *streams) now() int64 { return s.relay.store.Now() }

// enter counts a stream in, unless there are too many. Those whose clients have
// left, and of which nobody has heard yet, make room first.
func (s *streams) enter(st *stream, client clientKey) error {
	if !s.count(st, client) {
		s.hangs.sweep()
		most := shareOf(s.relay.live.Load().MaxStreams)
		switch {
		case s.count(st, client):
		case s.books.Held(client) >= most:
			s.refusedShare.Add(1)
			return errStreamShare
		case !s.displace(st, client):
			s.refusedCap.Add(1)
			return errManyStreams
		}
	}
	return nil
}

func (s *streams) count(st *stream, client clientKey) bool {
	if !s.books.Take(&st.place, client, 1) {
		return false
	}
	s.open.Add(1)
	return true
}

func (s *streams) uncount(st *stream) {
	s.open.Add(-1)
	s.books.Give(&st.place)
}

const (
	displaceTries = 3
	displaceTime  = 250 * time.Millisecond // for the one that gives way to end between two frames
)

// displace has the oldest stream of the client that has the most give way to one
// of a client that has clearly less, even with this one: less than half. So two
// clients don't push each other out by turns, and one's streams never push out
// its own. A stream that does not end in time is cut.
func (s *streams) displace(st *stream, client clientKey) bool {
	for range displaceTries {
		if 2*(s.books.Held(client)+1) > s.books.Most() {
			return false
		}
		h := s.books.Victim(func(h *holder) bool {
			return h.Owner.(*stream).wrote.Load() != 0 // it has its connection
		})
		if h == nil {
			return false
		}
		victim := h.Owner.(*stream)
		victim.askLeave(askCap)
		for end := time.Now().Add(displaceTime); !victim.closed.Load() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		victim.close(endCap)
		if s.count(st, client) {
			return true
		}
	}
	return false
}

// subscribe opens a cursor for a stream or long poll. Where the slot has too
// many, those whose clients have left, and of which nobody has heard yet, make
// room.
func (s *streams) subscribe(slot *cow.Slot, resume bool, since []byte, w cow.Waker) (*cow.Subscriber, error) {
	sub, err := s.relay.store.Subscribe(slot, resume, since, w)
	if errors.Is(err, cow.ErrTooManyStreams) {
		s.hangs.sweep()
		sub, err = s.relay.store.Subscribe(slot, resume, since, w)
	}
	return sub, err
}

// write is a writer's life.
func (s *streams) write() {
	w := newWriter(frame.MaxPiece)
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
	if s.hangs.watch(st, &st.watch, st.raw, true) {
		// Whoever closes it marks it first and has it forgotten second; we take
		// the place first and look at the mark second. So the place is given back.
		if st.closed.Load() {
			s.hangs.forget(&st.watch)
		}
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
// that they don't all come back at once, and is closed between two frames. When
// ctx ends first, those that are left are cut.
func (s *streams) drain(ctx context.Context) {
	s.wheel.each(func(st *stream) { st.askLeave(askDrain) })
	for s.open.Load() > 0 {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			s.waits.Go(s.cut)
			return
		}
	}
}

func (s *streams) cut() {
	var left []*stream
	s.wheel.each(func(st *stream) { left = append(left, st) })
	for _, st := range left {
		st.close(endDrain)
	}
}

// leaveSpread is the longest retry that a stream's last line tells a client.
const leaveSpread = 10 * time.Second

// askLeave has the stream end between two frames, with a retry line.
func (st *stream) askLeave(ask uint32) {
	st.retry.Store(500 + rand.Int64N(leaveSpread.Milliseconds()))
	st.asked.Or(ask)
	st.Wake(st.streams.now())
}

// stop ends the writers and waits for all that runs. What still hangs when ctx
// ends, in a load as a rule, is left alone: it ends when the store closes.
func (s *streams) stop(ctx context.Context) {
	close(s.quit)
	s.hangs.close()
	s.queue.close()
	done := make(chan struct{})
	s.relay.spawn("streams-stop", func() {
		defer close(done)
		s.readers.Wait()
		s.writers.Wait() // writers start waits, so these are waited for last
		s.waits.Wait()
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
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
