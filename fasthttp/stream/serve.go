package stream

import (
	"errors"
	"syscall"
	"time"

	"cowrelay/cow"
)

// turnPieces is how many pieces a stream may write before the others have a turn.
const turnPieces = 4

// errBlocked says that the operator has blocked the stream's slot.
var errBlocked = errors.New("the slot is blocked")

// errToken says that the token is dead that let the stream in.
var errToken = errors.New("the token is dead")

// serve writes what the stream has to say until there is nothing more, its
// turn is over, or its socket is full. The caller is the writer w, which has the
// stream.
func (st *Stream) serve(w *writer) {
	for range turnPieces {
		if st.closed.Load() {
			return
		}
		if st.filter != nil && st.filter.Unsent() {
			// Given away already, so it is no piece of the subscriber's any more.
			if _, err := w.write(st, nil); err == syscall.EAGAIN {
				st.await()
				return
			} else if err != nil {
				st.close(EndWrite)
				return
			}
			st.overdueNs = 0
		}
		woken := st.wokenNs.Load() // before the look, which finds what it was woken for
		piece, control, err := st.nextPiece(w)
		switch {
		case errors.Is(err, cow.ErrNoSlot):
			st.finish(EndGone)
			continue
		case err == errBlocked:
			st.finish(EndBlocked)
			continue
		case err == errToken:
			st.finish(EndToken)
			continue
		case errors.Is(err, cow.ErrTrimmed): // the rest of a frame
			st.finish(EndLoad)
			continue
		case errors.Is(err, cow.ErrNotResident):
			st.state.Store(stateWaiting)
			st.set.waits.Go(st.load)
			return
		case len(piece) == 0:
			if st.last {
				st.close(st.reason)
				return
			}
			// Nothing is left of what it was woken for. The next lag must not begin
			// there.
			st.wokenNs.CompareAndSwap(woken, 0)
			if st.state.CompareAndSwap(stateRunning, stateIdle) {
				return
			}
			st.state.Store(stateRunning) // woken meanwhile
			continue
		}
		n, err := w.write(st, piece)
		now := st.wrote(n, control)
		switch {
		case err != nil && err != syscall.EAGAIN:
			st.close(EndWrite)
			return
		case n < len(piece) || err != nil: // taken, and not sent
			if st.pieceLeft -= n; st.overdueNs == 0 || st.pieceLeft <= 0 {
				st.overdueNs = now + int64(st.set.opts.WriteTimeout)
				st.pieceLeft = len(piece) - n
			}
			st.await()
			return
		}
		st.overdueNs = 0
	}
	st.requeue()
}

// nextPiece is what is to be written next: control lines between frames, then
// frames.
func (st *Stream) nextPiece(w *writer) (piece []byte, control bool, err error) {
	if st.sub.Between() {
		if len(st.control) == 0 && !st.last {
			switch asked := st.asked.Swap(0); {
			case asked&(askDrain|askCap) != 0:
				st.control = st.wire.retry(st.retryMs.Load())
				if st.last, st.reason = true, EndDrain; asked&askCap != 0 {
					st.reason = EndCap
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
		if !st.grant.Live() {
			return nil, false, errToken
		}
	}
	piece, err = st.sub.Next(w.buf)
	return piece, false, err
}

// wrote notes that the socket took n bytes of a piece, and returns the time.
func (st *Stream) wrote(n int, control bool) (now int64) {
	if control {
		if st.control = st.control[n:]; len(st.control) == 0 {
			st.control = nil // it may be this stream's own
		}
	} else {
		st.sub.Wrote(n)
		if pos := st.sub.Position(); pos > st.told {
			st.set.events.Add(pos - st.told)
			st.told = pos
		}
	}
	st.set.written.Add(uint64(max(n, 0)))
	now = st.set.env.Now()
	if n > 0 {
		st.wroteNs.Store(now)
	}
	if n > 0 && !control {
		if at := st.wokenNs.Swap(0); at != 0 {
			st.set.env.Lag(time.Duration(now - at))
		}
	}
	return now
}

// load waits for the store on the stream's behalf. Its goroutine has the stream.
func (st *Stream) load() {
	defer st.set.rescue("stream", func() { st.close(EndPanic) })
	switch err := st.sub.Load(); {
	case errors.Is(err, cow.ErrNoSlot):
		st.finish(EndGone)
	case err != nil:
		st.finish(EndLoad)
	}
	st.requeue()
}

// await has another goroutine wait for the socket. The caller has the stream, and no
// longer.
func (st *Stream) await() {
	st.state.Store(stateWaiting)
	st.set.waits.Go(st.awaitSocket)
}

// awaitSocket waits until the socket takes more, at most until the piece under
// way is overdue. Its goroutine has the stream. A writer never waits: a stalled
// client holds up nobody.
func (st *Stream) awaitSocket() {
	defer st.set.rescue("stream", func() { st.close(EndPanic) })
	left := time.Duration(st.overdueNs - st.set.env.Now())
	st.conn.SetWriteDeadline(time.Now().Add(left))
	// The poller tells of changes only, so what it waits for must be checked
	// after it was armed: the function runs then, and again at each change.
	err := st.raw.Write(writable)
	switch {
	case err == nil && st.set.env.Now() < st.overdueNs:
		st.conn.SetWriteDeadline(time.Time{}) // or it would fail a write that comes after it
		st.requeue()
	case err == nil || errors.Is(err, errDeadline):
		st.close(EndSlow)
	default:
		st.close(EndWrite)
	}
}
