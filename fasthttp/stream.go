package fasthttp

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow"

	"github.com/valyala/fasthttp"
)

// Reasons why a stream ended; labels of its metric.
const (
	endClient  = iota // the client closed, half-closed, or sent what nobody asked for
	endWrite          // a write failed
	endSlow           // a piece was not taken within the write timeout
	endGone           // the slot was removed
	endBlocked        // the operator blocked the slot
	endDrain
	endCap  // it gave way to another client's, when there were as many as there may be
	endLoad // what comes next could not be read from the store
	endPanic
	endReasons
)

var endNames = [endReasons]string{"client", "write_error", "slow", "gone", "blocked", "drain", "cap", "load_error", "panic"}

// States of a stream. It is written to by one goroutine at a time: the writer
// that took it from the queue, or the goroutine that waits on its behalf.
const (
	streamIdle    uint32 = iota // nothing to do; Wake queues it
	streamQueued                // in the queue once
	streamRunning               // a writer has it
	streamAgain                 // a writer has it, and it was woken meanwhile
	streamWaiting               // waits for its socket or a load, which will queue it
)

// What a stream is asked to write beside events; bits of stream.asked.
const (
	askComment = 1 << iota
	askDrain   // a retry line, and then the end
	askCap     // likewise
)

// stream is one open server-sent-event connection. It owns the connection; the
// server forgot it at the hijack. Idle, it is this struct and a subscriber: no
// goroutine and no buffer.
type stream struct {
	streams *streams
	conn    net.Conn
	raw     syscall.RawConn
	sub     *cow.Subscriber
	place   holder

	state  atomic.Uint32
	asked  atomic.Uint32
	closed atomic.Bool
	woken  atomic.Int64 // the store's clock at the first wake since the last write, or 0
	wrote  atomic.Int64 // the store's clock at the last write
	retry  atomic.Int64 // milliseconds that the drain line tells
	next   *stream      // in the queue
	// The state exchange orders all that follows between the goroutines that
	// have the stream in turn.
	wire    *wireForm
	control []byte // head, comment, retry line or end: what is left to write of it
	overdue int64  // when the piece under way must be taken, or 0
	left    int    // of that piece; what follows it is another, with a deadline of its own
	last    bool   // close when control is written
	reason  int    // why, then

	prev, succ *stream // in the wheel's bucket; the wheel's
	bucket     int
	watch      watch
}

// serveStream turns the connection into a stream.
func (r *Relay) serveStream(req request) error {
	if req.head {
		res := &req.ctx.Response
		res.Header.SetContentType("text/event-stream")
		res.Header.Set(fasthttp.HeaderCacheControl, "no-cache")
		res.Header.Set("X-Accel-Buffering", "no")
		return nil
	}
	if r.draining.Load() {
		return errDraining
	}
	wire := &chunkedForm
	if !req.ctx.Request.Header.IsHTTP11() {
		wire = &plainForm
	}
	st := &stream{streams: r.streams, wire: wire, control: r.live.Load().shareStream(&req.ctx.Request.Header, wire.head)}
	// Subscribed below, it may be woken before it has its connection.
	st.state.Store(streamWaiting)
	since, resume := req.cursor()
	st.place.Owner = st
	if err := r.streams.enter(st, r.clientOf(req)); err != nil {
		return err
	}
	defer func() {
		if st.sub == nil { // also after a panic
			r.streams.uncount(st)
		}
	}()
	sub, err := r.streams.subscribe(req.slot, resume, since, st)
	if err != nil {
		if errors.Is(err, cow.ErrTooManyStreams) {
			r.streams.refusedSlot.Add(1)
		}
		return err
	}
	r.streams.total.Add(1)
	st.sub = sub
	if wire == &plainForm {
		sub.Plain()
	}
	if c, ok := req.ctx.Conn().(*conn); ok {
		c.opening.Store(st)
	}
	req.ctx.HijackSetNoResponse(true)
	req.ctx.Hijack(st.start)
	return nil
}

// abandon ends a stream whose connection broke before it was the stream's own:
// the server then never calls start.
func (st *stream) abandon() {
	if !st.closed.Swap(true) {
		st.sub.Close()
		st.streams.ended[endClient].Add(1)
		st.streams.uncount(st)
	}
}

// start takes the connection over.
func (st *stream) start(c net.Conn) {
	st.conn = c
	defer st.streams.relay.rescue("stream", func() { st.close(endPanic) })
	if own, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		c = own.UnsafeConn()
	}
	own, _ := c.(*conn)
	if own != nil {
		own.opening.Store(nil)
		own.prompt = true
	}
	s := st.streams
	st.conn = c
	if tcp, ok := c.(interface {
		SyscallConn() (syscall.RawConn, error)
		SetWriteBuffer(int) error
	}); ok {
		st.raw, _ = tcp.SyscallConn()
		tcp.SetWriteBuffer(s.relay.opts.StreamSendBuffer)
	}
	if st.raw == nil {
		s.relay.opts.Logger.Error("a stream needs a TCP connection", "type", sprintf("%T", c))
		s.wheel.add(st)
		st.close(endWrite)
		return
	}
	setUserTimeout(st.raw, 2*s.relay.opts.Heartbeat+s.relay.opts.StreamWriteTimeout)
	st.wrote.Store(s.now())
	s.wheel.add(st)
	if st.closed.Load() { // it had to give way
		s.wheel.remove(st)
		return
	}
	s.watch(st)
	st.requeue()
	if own != nil {
		own.stream.Store(st) // it can be asked to leave from here on
	}
	if s.relay.draining.Load() {
		st.askLeave(askDrain) // it came while the others were told
	}
}

// Wake implements cow.Waker: it queues the stream unless it is queued, or is
// running and will look again.
func (st *stream) Wake(at int64) {
	for {
		switch st.state.Load() {
		case streamIdle:
			if st.state.CompareAndSwap(streamIdle, streamQueued) {
				st.woken.CompareAndSwap(0, at)
				st.streams.queue.push(st)
				return
			}
		case streamRunning:
			if st.state.CompareAndSwap(streamRunning, streamAgain) {
				st.woken.CompareAndSwap(0, at)
				return
			}
		default:
			return
		}
	}
}

// requeue puts the stream, which the caller has, behind the others.
func (st *stream) requeue() {
	st.state.Store(streamQueued)
	st.streams.queue.push(st)
}

// close ends the stream with a counted reason, once.
func (st *stream) close(reason int) {
	if st.closed.Swap(true) {
		return
	}
	s := st.streams
	defer func() {
		s.ended[reason].Add(1)
		s.uncount(st)
		st.conn.Close()
	}()
	// Deferred: whatever one of them meets, the others are done.
	defer s.relay.rescue("stream", func() { reason = endPanic })
	defer s.hangs.forget(&st.watch)
	defer s.wheel.remove(st)
	st.sub.Close()
}

// finish ends the stream of the relay's own accord. The caller has the stream.
// Between frames a client is told that this is the end. Within one, whose rest
// can't be read any more, it is cut: a client sees that it isn't whole.
func (st *stream) finish(reason int) {
	if !st.sub.Between() || len(st.wire.end) == 0 {
		st.close(reason)
		return
	}
	st.control, st.last, st.reason = st.wire.end, true, reason
}

// hungUp implements leaver.
func (st *stream) hungUp() { st.close(endClient) }

// turnPieces is how many pieces a stream may write before the others have a turn.
const turnPieces = 4

// serve writes what the stream has to say until there is nothing more, its
// turn is over, or its socket is full. The caller is its writer w.
func (st *stream) serve(w *writer) {
	for range turnPieces {
		if st.closed.Load() {
			return
		}
		piece, control, err := st.nextPiece(w)
		switch {
		case errors.Is(err, cow.ErrNoSlot):
			st.finish(endGone)
			continue
		case err == errBlocked:
			st.finish(endBlocked)
			continue
		case errors.Is(err, cow.ErrNotResident):
			st.state.Store(streamWaiting)
			st.streams.waits.Go(st.load)
			return
		case len(piece) == 0:
			if st.last {
				st.close(st.reason)
				return
			}
			if st.state.CompareAndSwap(streamRunning, streamIdle) {
				return
			}
			st.state.Store(streamRunning) // woken meanwhile
			continue
		}
		n, err := w.write(st.raw, piece)
		if control {
			if st.control = st.control[n:]; len(st.control) == 0 {
				st.control = nil // it may be this stream's own
			}
		} else {
			st.sub.Wrote(n)
		}
		now := st.streams.now()
		if n > 0 {
			st.wrote.Store(now)
			if at := st.woken.Swap(0); at != 0 && !control {
				st.streams.lag.Observe(time.Duration(now - at))
			}
		}
		switch {
		case err != nil && err != syscall.EAGAIN:
			st.close(endWrite)
			return
		case n < len(piece):
			if st.left -= n; st.overdue == 0 || st.left <= 0 {
				st.overdue = now + int64(st.streams.relay.opts.StreamWriteTimeout)
				st.left = len(piece) - n
			}
			st.state.Store(streamWaiting)
			st.streams.waits.Go(st.drainSocket)
			return
		}
		st.overdue = 0
	}
	st.requeue()
}

// nextPiece is what is to be written next: control lines between frames, then
// frames.
func (st *stream) nextPiece(w *writer) (piece []byte, control bool, err error) {
	if st.sub.Between() {
		if len(st.control) == 0 && !st.last {
			switch asked := st.asked.Swap(0); {
			case asked&(askDrain|askCap) != 0:
				st.control = st.wire.retry(st.retry.Load())
				if st.last, st.reason = true, endDrain; asked&askCap != 0 {
					st.reason = endCap
				}
			case asked&askComment != 0:
				st.control = st.wire.comment
			}
		}
		if len(st.control) > 0 || st.last {
			return st.control, true, nil
		}
		if st.sub.Slot().Blocked() {
			return nil, false, errBlocked
		}
	}
	piece, err = st.sub.Next(w.buf)
	return piece, false, err
}

// load waits for the store on the stream's behalf.
func (st *stream) load() {
	defer st.streams.relay.rescue("stream", func() { st.close(endPanic) })
	switch err := st.sub.Load(); {
	case errors.Is(err, cow.ErrNoSlot):
		st.finish(endGone)
	case err != nil:
		st.finish(endLoad)
	}
	st.requeue()
}

// drainSocket waits until the socket takes more, at most until the piece under
// way is overdue. A writer never waits: a stalled client holds up nobody.
func (st *stream) drainSocket() {
	defer st.streams.relay.rescue("stream", func() { st.close(endPanic) })
	left := time.Duration(st.overdue - st.streams.now())
	st.conn.SetWriteDeadline(time.Now().Add(left))
	// The poller tells of changes only, so what it waits for must be checked
	// after it was armed: the function runs then, and again at each change.
	err := st.raw.Write(writable)
	switch {
	case err == nil && st.streams.now() < st.overdue:
		st.requeue()
	case err == nil || errors.Is(err, errDeadline):
		st.close(endSlow)
	default:
		st.close(endWrite)
	}
}
