package cow

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// loader brings slots and chunks into memory. Everybody who wants the same one
// waits for one load; a few loads run at once; a load reserves its bytes
// before it keeps them. A load that failed is forgotten: the next request
// tries again.
type loader struct {
	s     *Store
	slots chan struct{} // a token for each load that may run
	wg    sync.WaitGroup

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
	then  []func(T, error) // under loader.mu
}

func newLoader(s *Store) *loader {
	return &loader{
		s:      s,
		slots:  make(chan struct{}, s.opts.Loads),
		heats:  make(map[*Slot]*flight[*hot]),
		chunks: make(map[*chunk]*flight[*segment]),
	}
}

// join finds or starts the flight for key and has then called when it lands.
func join[K comparable, T any](l *loader, flights map[K]*flight[T], key K, load func() (T, error), then func(T, error)) *flight[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := flights[key]
	if f == nil {
		f = &flight[T]{done: make(chan struct{})}
		if l.closed {
			f.err = ErrClosed
			close(f.done)
			return f // the commit loop, which has followers called, has ended
		}
		flights[key] = f
		l.background(func() {
			f.value, f.err = load()
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
	return f
}

// background runs f in the pool.
func (l *loader) background(f func()) {
	l.wg.Go(func() {
		l.slots <- struct{}{}
		defer func() { <-l.slots }()
		f()
	})
}

// close waits for the loads under way and lets no other begin: the journal is
// closed next. The commit loop must have ended.
func (l *loader) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wg.Wait()
}

// slot loads a cold slot, or waits for the load under way.
func (l *loader) slot(slot *Slot) (*hot, error) {
	f := join(l, l.heats, slot, func() (*hot, error) { return l.heat(slot) }, nil)
	<-f.done
	return f.value, f.err
}

// startSlot does the same without waiting.
func (l *loader) startSlot(slot *Slot, then func(error)) {
	join(l, l.heats, slot, func() (*hot, error) { return l.heat(slot) }, func(_ *hot, err error) { then(err) })
}

// chunk loads the segment of a chunk that has left memory.
func (l *loader) chunk(slot *Slot, c *chunk) (*segment, error) {
	f := join(l, l.chunks, c, func() (*segment, error) { return l.reload(slot, c) }, nil)
	<-f.done
	return f.value, f.err
}

// startChunk does the same without waiting.
func (l *loader) startChunk(slot *Slot, c *chunk, then func(*segment, error)) {
	join(l, l.chunks, c, func() (*segment, error) { return l.reload(slot, c) }, then)
}

// heat reads a whole slot and makes it hot. Where the budget has no room for
// all of it, the oldest chunks stay out of memory.
func (l *loader) heat(slot *Slot) (*hot, error) {
	if h := slot.hot.Load(); h != nil {
		return h, nil
	}
	s := l.s
	want := slot.count.Load()
	h := &hot{}
	if err := l.admit(h, memSlot, hotBytes); err != nil {
		s.budget.drop(h)
		return nil, err
	}
	var room [MaxIDBytes]byte
	err := s.journal.Load(slot.id, 0, func(a *Append) error {
		if a.First != h.count {
			return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, a.First, h.count)
		}
		for _, ev := range a.Events {
			if id, ok := ev.ID(room[:0]); ok {
				if err := l.admit(h, memIndex, h.index.insert(s.hashID(id), h.count)); err != nil {
					return err
				}
			}
			if err := l.admit(h, memChunk, h.add(ev)); err != nil {
				return err
			}
		}
		h.version = a.Version
		return nil
	})
	if err == nil && h.count < want {
		err = fmt.Errorf("cow: slot %s: the journal gave %d events of %d", slot.id, h.count, want)
	}
	if err != nil {
		s.budget.drop(h)
		if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrNoSlot) {
			s.stats.LoadErrors.Add(1)
			s.opts.Logger.Error("cannot load slot", "slot", slot.id, "error", err)
		}
		return nil, err
	}
	h.publish()
	count, bytes := h.count, h.appender.bytes // before it is the owner's
	s.stats.SlotLoads.Add(1)
	// While a slot is cold the commit loop appends nothing to it, so what was
	// read is all there is.
	if !slot.hot.CompareAndSwap(nil, h) {
		s.budget.drop(h)
		return slot.hot.Load(), nil
	}
	s.budget.enter(slot)
	if slot.count.Load() != count || slot.bytes.Load() != bytes {
		s.commits.ask(func() { s.commits.settle(slot) })
	}
	if slot.dead.Load() { // removed meanwhile: whoever swaps it out gives its memory back
		s.cool(slot)
		return nil, ErrNoSlot
	}
	return h, nil
}

// admit reserves what h has grown by. When nothing else can leave, h lets go
// of its own oldest chunks.
func (l *loader) admit(h *hot, kind int, grown int64) error {
	b := l.s.budget
	if grown <= 0 {
		b.add(kind, grown)
		return nil
	}
	for deadline := time.Now().Add(l.s.opts.LoadPatience); !b.tryReserve(kind, grown); {
		if b.evict(grown) > 0 || b.shed(h) {
			continue
		}
		if time.Now().After(deadline) {
			b.add(kind, grown) // drop gives it back with the rest
			return ErrBusy
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// reload reads the segment of one chunk again: all that was in it when it left,
// though who asks for it may have a snapshot that shows less.
func (l *loader) reload(slot *Slot, c *chunk) (*segment, error) {
	if g := c.seg.Load(); g != nil && g != goneSegment {
		return g, nil
	}
	s, n := l.s, int(c.events)
	g := &segment{data: newData(int(c.size)), refs: make([]eventRef, n)}
	if err := s.budget.reserve(g.bytes(), s.opts.LoadPatience); err != nil {
		return nil, err
	}
	full := errors.New("full")
	i, used := 0, 0
	err := s.journal.Load(slot.id, c.first, func(a *Append) error {
		for k, ev := range a.Events {
			pos := a.First + uint64(k)
			switch {
			case pos < c.first:
				continue
			case pos != c.first+uint64(i):
				return fmt.Errorf("cow: slot %s: the journal gave position %d where %d comes next", slot.id, pos, c.first+uint64(i))
			case i > 0:
				if used < len(g.data) {
					g.data[used] = ','
				}
				used++
			}
			if used+len(ev.JSON) > len(g.data) {
				return fmt.Errorf("cow: slot %s: position %d is longer than it was", slot.id, pos)
			}
			used += copy(g.data[used:], ev.JSON)
			g.refs[i] = eventRef{end: uint32(used), id: ev.IDOff}
			if i++; i == n {
				return full
			}
		}
		return nil
	})
	if err == full {
		err = nil
	}
	if err == nil && (i != n || used != len(g.data)) {
		err = fmt.Errorf("cow: slot %s: chunk at %d came back with %d events of %d", slot.id, c.first, i, n)
	}
	if err != nil {
		s.budget.retire(g)
		// The journal knows of a removal before the slot is marked.
		if slot.dead.Load() || errors.Is(err, ErrNoSlot) {
			return nil, ErrNoSlot
		}
		s.stats.LoadErrors.Add(1)
		s.opts.Logger.Error("cannot load chunk", "slot", slot.id, "error", err)
		return nil, err
	}
	g.freeze(g.data[:used])
	s.stats.ChunkLoads.Add(1)
	// A slot that went cold meanwhile has the mark of it here: then the
	// segment serves those who waited, and belongs to nobody.
	c.used.Store(s.budget.epoch.Load())
	if !c.seg.CompareAndSwap(nil, g) {
		s.budget.retire(g)
	}
	return g, nil
}
