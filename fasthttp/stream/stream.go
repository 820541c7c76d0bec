package stream

import (
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/share"
)

// States of a stream. One goroutine at a time has a stream, and that one alone
// writes to it: the writer that took it from the queue, or the goroutine that
// waits on its behalf.
//
//	                Wake             a writer takes it
//	        idle ──────────▶ queued ─────────────────▶ running ◀───┐
//	         ▲                ▲  ▲                     │ │ │ │     │ it looks again
//	         │                │  │    its turn is over │ │ │ │Wake │
//	         │                │  └─────────────────────┘ │ │ └──▶ again
//	         │ nothing to say │                          │ │
//	         └────────────────┼──────────────────────────┘ │
//	                          │                            │ the socket is full, or
//	the wait is over, or the  │                            │ the store must be read
//	connection is the stream's└──────── waiting ◀──────────┘
//
// Wake moves a stream from any goroutine, by compare-and-swap. All other moves
// are made by the goroutine that has the stream. A stream that is running or
// again may also be moved to queued or waiting: the mark of the wake is lost
// then, but the stream will be looked at again, which is all that it asks for.
const (
	stateIdle    uint32 = iota // nobody has it; Wake queues it
	stateQueued                // in the queue, once
	stateRunning               // a writer has it
	stateAgain                 // a writer has it, and it was woken meanwhile
	stateWaiting               // waits for its connection, its socket or a load, which will queue it
)

// What a stream is asked to write beside events; bits of Stream.asked.
const (
	askComment = 1 << iota
	askDrain   // a retry line, and then the end
	askCap     // likewise
)

// Stream is one open server-sent-event connection. Set.Open makes it. It owns
// the connection from Start on; the server has forgotten it. It must not be
// copied.
type Stream struct {
	set    *Set
	conn   net.Conn        // set by Start
	raw    syscall.RawConn // conn's, for writes that don't wait; set by Start
	filter Filter          // before the socket, or nil; set by Start
	sub    *cow.Subscriber // set by Open
	grant  cow.Grant       // of the token that let it in
	place  share.Holder[uint64]

	state  atomic.Uint32
	asked  atomic.Uint32 // ask bits; pairs with the Swap in nextPiece
	closed atomic.Bool   // pairs with the Loads in serve, Start, watch and displace

	wokenNs atomic.Int64 // the Env's clock at the first event that is not written yet, or 0
	wroteNs atomic.Int64 // the Env's clock at the last write; 0 before it has its connection
	retryMs atomic.Int64 // what the last line tells the client to wait; set before asked

	next *Stream // in the queue; under its lock

	// These belong to the goroutine that has the stream. The exchange of state
	// orders them between the goroutines that have it in turn.
	wire      *wireForm
	control   []byte // head, comment, retry line or end: what is left to write of it
	overdueNs int64  // on the Env's clock, when the piece under way must be taken; 0: none is
	pieceLeft int    // bytes of that piece; what follows it is another, with a deadline of its own
	last      bool   // close when control is written
	reason    Reason // why, then
	told      uint64 // the position up to which its events are counted

	// Under the wheel's lock.
	prev, succ *Stream // in the wheel's bucket
	bucket     int

	watch Watch // under the lock of hang-ups
}

// Wake implements cow.Waker: it queues the stream unless it is queued, or is
// running and will look again. at is the Env's clock in nanoseconds, or 0 if there
// is something else to write than an event.
func (st *Stream) Wake(at int64) {
	for {
		switch st.state.Load() {
		case stateIdle:
			if st.state.CompareAndSwap(stateIdle, stateQueued) {
				st.wokenNs.CompareAndSwap(0, at)
				st.set.queue.push(st)
				return
			}
		case stateRunning:
			if st.state.CompareAndSwap(stateRunning, stateAgain) {
				st.wokenNs.CompareAndSwap(0, at)
				return
			}
		default:
			return
		}
	}
}

// requeue puts the stream, which the caller has, behind the others.
func (st *Stream) requeue() {
	st.state.Store(stateQueued)
	st.set.queue.push(st)
}

// leaveSpread is the longest time that a stream's last line tells a client to
// wait. Clients that come back are spread over it.
const leaveSpread = 10 * time.Second

// Leave asks the stream to end between two frames, with a retry line: it gives
// way to another.
func (st *Stream) Leave() { st.askLeave(askCap) }

// CutOff ends the stream at once: it gives way to another.
func (st *Stream) CutOff() { st.close(EndCap) }

func (st *Stream) askLeave(ask uint32) {
	st.retryMs.Store(500 + rand.Int64N(leaveSpread.Milliseconds()))
	st.asked.Or(ask)
	st.Wake(0)
}

// HungUp implements Leaver.
func (st *Stream) HungUp() { st.close(EndClient) }

// finish ends the stream of the relay's own accord. The caller has the stream.
// Between frames a client is told that this is the end. Within a frame, whose
// rest can't be read any more, the stream is cut: the client sees that the frame
// isn't whole.
func (st *Stream) finish(reason Reason) {
	if !st.sub.Between() || len(st.wire.end) == 0 {
		st.close(reason)
		return
	}
	st.control, st.last, st.reason = st.wire.end, true, reason
}

// close ends the stream with a counted reason, once. Any goroutine may call it.
func (st *Stream) close(reason Reason) {
	if st.closed.Swap(true) {
		return
	}
	s := st.set
	defer func() {
		s.ended[reason].Add(1)
		s.uncount(st)
		st.conn.Close()
	}()
	// Deferred: whatever one of them meets, the others are done.
	defer s.rescue("stream", func() { reason = EndPanic })
	defer s.hangs.forget(&st.watch)
	defer s.wheel.remove(st)
	st.sub.Close()
}
