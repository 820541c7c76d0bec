package cow

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// loader brings slots and chunks into memory. Everybody who wants the same one
// waits for one load; a few loads run at once; a load reserves its bytes
// before it keeps them. A load that failed is forgotten: the next request
// tries again.
//
// Every wait has an end. Who waits for a load gives up with ErrBusy after
// Options.LoadTimeout, or at once where Options.LoadWaiters wait already; a load
// gives up when it had no turn for as long, or no memory for
// Options.LoadPatience. When the store closes all of them get ErrClosed.
type loader struct {
	s       *Store
	slots   chan struct{} // a token for each load that may run
	waiters atomic.Int64  // requests that wait for a load, or for a turn
	closing chan struct{} // closed by stop
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	heats  map[*Slot]*flight[*hot]
	chunks map[*chunk]*flight[*segment]
}

// flight is one load and all who wait for it.
type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
	then  []func(T, error) // under loader.mu; the commit loop's, one for a slot
}

func newLoader(s *Store) *loader {
	return &loader{
		s:       s,
		slots:   make(chan struct{}, s.opts.Loads),
		closing: make(chan struct{}),
		heats:   make(map[*Slot]*flight[*hot]),
		chunks:  make(map[*chunk]*flight[*segment]),
	}
}

// ours says whether an error is of a wait that ended, not of the journal.
func ours(err error) bool { return errors.Is(err, ErrBusy) || errors.Is(err, ErrClosed) }

// join finds or starts the flight for key and has then called when it lands.
func join[K comparable, T any](l *loader, flights map[K]*flight[T], key K, load func() (T, error), then func(T, error)) *flight[T] {
	l.mu.Lock()
	f := flights[key]
	if f == nil {
		f = &flight[T]{done: make(chan struct{})}
		if l.closed {
			l.mu.Unlock()
			f.err = ErrClosed
			close(f.done)
			if then != nil {
				then(f.value, f.err)
			}
			return f
		}
		flights[key] = f
		l.wg.Go(func() {
			f.value, f.err = inTurn(l, load)
			l.mu.Lock()
			delete(flights, key)
			then := f.then
			l.mu.Unlock()
			close(f.done)
			for _, t := range then {
				t(f.value, f.err)
			}
		})
	}
	if then != nil {
		f.then = append(f.then, then)
	}
	l.mu.Unlock()
	return f
}

// inTurn runs a load when it has a turn in the pool.
func inTurn[T any](l *loader, load func() (T, error)) (none T, err error) {
	if err := l.turn(); err != nil {
		return none, err
	}
	defer func() { <-l.slots }()
	return load()
}

// background runs f in the pool, or calls it with the reason why it has no turn.
func (l *loader) background(f func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		f(ErrClosed)
		return
	}
	l.wg.Go(func() {
		err := l.turn()
		if err == nil {
			defer func() { <-l.slots }()
		}
		f(err)
	})
}

// turn waits for a place in the pool.
func (l *loader) turn() error {
	select {
	case <-l.closing:
		return ErrClosed
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(l.s.opts.LoadTimeout)
	defer timer.Stop()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return l.refused()
	case <-l.closing:
		return ErrClosed
	}
}

func (l *loader) refused() error {
	l.s.stats.LoadsRefused.Add(1)
	return ErrBusy
}

// wait counts a request in that is about to wait for a load, unless too many do.
func (l *loader) wait() (leave func(), err error) {
	if l.waiters.Add(1) > int64(l.s.opts.LoadWaiters) {
		l.waiters.Add(-1)
		return nil, l.refused()
	}
	return func() { l.waiters.Add(-1) }, nil
}

// land waits for a flight, until ended is closed at the latest.
func land[T any](l *loader, f *flight[T], ended <-chan struct{}) (none T, err error) {
	timer := time.NewTimer(l.s.opts.LoadTimeout)
	defer timer.Stop()
	select {
	case <-f.done:
		return f.value, f.err
	case <-timer.C:
		return none, l.refused()
	case <-l.closing:
	case <-ended:
	}
	return none, ErrClosed
}

// stop has all loads and all who wait for them give up, and lets no other begin.
func (l *loader) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
}

// finish waits for the loads that run: the journal is closed next. The commit
// loop must have ended.
func (l *loader) finish() { l.wg.Wait() }

var errFault = errors.New("cow: a fault in a load")

// read has the journal load a slot, and ends it between two groups when the store
// closes. A panic, which what one slot holds may bring about, is a load that
// failed, and does not end what the others have. Its value is not told: it may
// quote an event.
func (l *loader) read(slot *Slot, from uint64, yield func(*Append) error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			l.s.stats.Panics.Add(1)
			l.s.opts.Logger.Error("panic", "in", "load", "slot", slot.id, "type", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
			err = errFault
		}
	}()
	return l.s.journal.Load(slot.id, from, func(a *Append) error {
		select {
		case <-l.closing:
			return ErrClosed
		default:
			return yield(a)
		}
	})
}

// patience is what one load has for memory. The function waits a moment, and says
// when that was the last one.
func (l *loader) patience() func() error {
	var end time.Time // of the patience, once it was needed
	return func() error {
		if end.IsZero() {
			end = time.Now().Add(l.s.opts.LoadPatience)
		} else if time.Now().After(end) {
			return l.refused()
		}
		select {
		case <-l.closing:
			return ErrClosed
		case <-time.After(2 * time.Millisecond):
			return nil
		}
	}
}

// enter waits for a turn in the pool for who reads the journal by itself.
func (l *loader) enter() (leave func(), err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	l.wg.Add(1)
	l.mu.Unlock()
	left, err := l.wait()
	if err == nil {
		err = l.turn()
		left()
	}
	if err != nil {
		l.wg.Done()
		return nil, err
	}
	return func() {
		<-l.slots
		l.wg.Done()
	}, nil
}

// slotUntil loads a cold slot, or waits for the load under way.
func (l *loader) slotUntil(slot *Slot, ended <-chan struct{}) (*hot, error) {
	leave, err := l.wait()
	if err != nil {
		return nil, err
	}
	defer leave()
	return land(l, join(l, l.heats, slot, func() (*hot, error) { return l.heat(slot) }, nil), ended)
}

// startSlot does the same without waiting.
func (l *loader) startSlot(slot *Slot, then func(error)) {
	join(l, l.heats, slot, func() (*hot, error) { return l.heat(slot) }, func(_ *hot, err error) { then(err) })
}

// chunk loads the segment of a chunk that has left memory.
func (l *loader) chunk(slot *Slot, c *chunk) (*segment, error) { return l.chunkUntil(slot, c, nil) }

func (l *loader) chunkUntil(slot *Slot, c *chunk, ended <-chan struct{}) (*segment, error) {
	leave, err := l.wait()
	if err != nil {
		return nil, err
	}
	defer leave()
	return land(l, join(l, l.chunks, c, func() (*segment, error) { return l.reload(slot, c) }, nil), ended)
}

// startChunk does the same without waiting.
func (l *loader) startChunk(slot *Slot, c *chunk, then func(*segment, error)) {
	join(l, l.chunks, c, func() (*segment, error) { return l.reload(slot, c) }, then)
}
