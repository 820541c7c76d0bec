package stream

import (
	"sync"
	"time"
)

// The wheel has wheelBuckets buckets, one a tick, and a heartbeat is wheelTurn
// ticks. There are more buckets than that, so that the bucket of now never is the
// bucket of a heartbeat ahead.
const (
	wheelBuckets = 64
	wheelTurn    = 48
)

// wheel is a timing wheel (Varghese and Lauck, 1987). It asks streams for a
// comment line when nothing was written to them for a heartbeat. A stream sits
// in the bucket of its next check, so a tick looks at a forty-eighth of the
// streams, and comments spread as the streams' openings and writes do. Every open
// stream is in the wheel, so it also is the register of them.
type wheel struct {
	set  *Set
	tick time.Duration

	mu      sync.Mutex // also guards prev, succ and bucket of every stream
	at      int        // the bucket of the current tick
	buckets [wheelBuckets]*Stream
}

func (w *wheel) init(s *Set) {
	w.set = s
	w.tick = s.opts.Heartbeat / wheelTurn
}

func (w *wheel) add(st *Stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.insertLocked(st, wheelTurn)
}

// insertLocked puts st into the bucket that comes up in so many ticks.
func (w *wheel) insertLocked(st *Stream, ticks int) {
	st.bucket = (w.at + ticks) % wheelBuckets
	head := &w.buckets[st.bucket]
	st.prev, st.succ = nil, *head
	if *head != nil {
		(*head).prev = st
	}
	*head = st
}

// remove takes a stream out, if it is in.
func (w *wheel) remove(st *Stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st.prev != nil {
		st.prev.succ = st.succ
	} else if w.buckets[st.bucket] == st {
		w.buckets[st.bucket] = st.succ
	}
	if st.succ != nil {
		st.succ.prev = st.prev
	}
	st.prev, st.succ = nil, nil
}

// run turns the wheel until the set is stopped.
func (w *wheel) run() {
	t := time.NewTicker(w.tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.advance()
		case <-w.set.quit:
			return
		}
	}
}

func (w *wheel) advance() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = (w.at + 1) % wheelBuckets
	due := w.buckets[w.at]
	w.buckets[w.at] = nil
	now := w.set.env.Now()
	for st := due; st != nil; {
		next := st.succ
		silent := time.Duration(now - st.wroteNs.Load())
		if left := w.set.opts.Heartbeat - silent; left > w.tick {
			w.insertLocked(st, min(int(left/w.tick), wheelTurn))
		} else {
			w.insertLocked(st, wheelTurn)
			w.askLocked(st, func(st *Stream) {
				st.asked.Or(askComment)
				st.Wake(0)
			})
		}
		st = next
	}
}

// each calls f for every open stream. f must not close it on this goroutine: the
// wheel is locked, and close takes that lock.
func (w *wheel) each(f func(*Stream)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, st := range w.buckets {
		for ; st != nil; st = st.succ {
			w.askLocked(st, f)
		}
	}
}

// askLocked calls f for a stream. A fault ends that stream alone, on another
// goroutine, since close takes the wheel's lock.
func (w *wheel) askLocked(st *Stream, f func(*Stream)) {
	s := w.set
	defer s.rescue("stream", func() { s.waits.Go(func() { st.close(EndPanic) }) })
	f(st)
}
