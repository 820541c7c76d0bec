package fasthttp

import (
	"sync"
	"time"
)

// wheelSlots is how many ticks the wheel has; a heartbeat is wheelTurn of them.
const (
	wheelSlots = 64
	wheelTurn  = 48
)

// wheel is a timing wheel (Varghese and Lauck, 1987) that asks streams for a
// comment line when nothing was written to them for a heartbeat. Streams sit
// in the bucket of their next check, so a tick looks at a forty-eighth of
// them and comments spread as the streams' openings and writes do. Every open
// stream is in it, so it also is the register of them.
type wheel struct {
	streams *streams
	tick    time.Duration

	mu      sync.Mutex
	at      int // the bucket of the current tick
	buckets [wheelSlots]*stream
}

func (w *wheel) init(s *streams) {
	w.streams = s
	w.tick = s.relay.opts.Heartbeat / wheelTurn
}

func (w *wheel) add(st *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.insert(st, wheelTurn)
}

// insert puts st into the bucket that comes up in so many ticks.
func (w *wheel) insert(st *stream, ticks int) {
	st.bucket = (w.at + ticks) % wheelSlots
	head := &w.buckets[st.bucket]
	st.prev, st.succ = nil, *head
	if *head != nil {
		(*head).prev = st
	}
	*head = st
}

// remove takes a stream out, if it is in.
func (w *wheel) remove(st *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(st)
}

func (w *wheel) unlink(st *stream) {
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

// run turns the wheel.
func (w *wheel) run() {
	t := time.NewTicker(w.tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			w.advance()
		case <-w.streams.quit:
			return
		}
	}
}

func (w *wheel) advance() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = (w.at + 1) % wheelSlots
	due := w.buckets[w.at]
	w.buckets[w.at] = nil
	now := w.streams.now()
	for st := due; st != nil; {
		next := st.succ
		silent := time.Duration(now - st.wrote.Load())
		if left := w.streams.relay.opts.Heartbeat - silent; left > w.tick {
			w.insert(st, min(int(left/w.tick), wheelTurn))
		} else {
			w.insert(st, wheelTurn)
			w.ask(st, func(st *stream) {
				st.asked.Or(askComment)
				st.Wake(now)
			})
		}
		st = next
	}
}

// each calls f for every open stream. f must not close it on this goroutine.
func (w *wheel) each(f func(*stream)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, st := range w.buckets {
		for ; st != nil; st = st.succ {
			w.ask(st, f)
		}
	}
}

// ask calls f for a stream of which a fault ends it alone. The wheel is locked,
// and close takes the lock, so that is done elsewhere.
func (w *wheel) ask(st *stream, f func(*stream)) {
	s := w.streams
	defer s.relay.rescue("stream", func() { s.waits.Go(func() { st.close(endPanic) }) })
	f(st)
}
