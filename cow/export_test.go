package cow

import (
	"bytes"
	"slices"

	"cowrelay/cow/flight"
	"cowrelay/cow/frame"
	"cowrelay/cow/index"
)

// What tests outside the package need of its inside. Each of these does what
// the store does by itself when memory is short, at a moment that the test
// chooses.

// RunInbox returns when the commit loop has run everything that was asked of it
// before.
func (s *Store) RunInbox() {
	done := make(chan struct{})
	s.inbox.call(func() { close(done) })
	<-done
}

// Cool makes a slot cold, whatever reads it.
func (s *Store) Cool(slot *Slot) {
	done := make(chan struct{})
	s.inbox.call(func() {
		if s.pipeline.mayCool(slot) {
			s.budget.cool(slot)
		}
		close(done)
	})
	<-done
}

// call has f run by the commit loop when it has done all that was asked before.
func (in *inbox) call(f func()) {
	in.post(func(l *letters) { l.probes = append(l.probes, f) })
}

// EvictChunks drops all sealed segments of a slot, as if nobody had used them
// for long, and returns how many bytes that were.
func (s *Store) EvictChunks(slot *Slot) int64 {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if h := slot.hot.Load(); h != nil {
		for _, c := range h.snap.Load().chunks {
			c.usedIn.Store(s.budget.epoch.Load() - maxAge)
		}
	}
	return s.budget.evictChunks(slot, s.budget.epoch.Load())
}

// DropFrames drops the shared frames of a slot.
func (s *Store) DropFrames(slot *Slot) {
	if h := slot.hot.Load(); h != nil {
		s.budget.dropAllFrames(h)
	}
}

// Chunks returns how many chunks the slot has in memory or not.
func (s *Slot) Chunks() int {
	if h := s.hot.Load(); h != nil {
		return len(h.snap.Load().chunks)
	}
	return 0
}

// HasSet says whether there is a set of subscribers.
func (s *Slot) HasSet() bool { return s.subs.Load() != nil }

// SetLen returns how many subscribers the set holds.
func (s *Slot) SetLen() int {
	if set := s.subs.Load(); set != nil {
		return len(set.list)
	}
	return 0
}

// HasFrames says whether the slot has shared frames.
func (s *Slot) HasFrames() bool {
	h := s.hot.Load()
	return h != nil && (h.frames[frame.EventIDs].Load() != nil || h.frames[frame.Positions].Load() != nil)
}

// HashID is the hash that the index knows an id under.
func (s *Store) HashID(id string) uint32 { return index.Hash(s.seed, []byte(id)) }

// Cursor returns where the subscriber stands.
func (sub *Subscriber) Cursor() (pos uint64, off int) { return sub.pos, sub.off }

// Shared returns the sub-slices of segments that come next of a window.
func (w *Window) Shared() (list [][]byte) {
	for _, p := range w.Parts(nil) {
		if len(p) > 1 {
			list = append(list, p)
		}
	}
	return list
}

// RingLen returns how many slots the budget believes to be hot.
func (s *Store) RingLen() int {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	return len(s.budget.ring)
}

// Waits returns how many slots the commit loop waits for.
func (s *Store) Waits() (n int) {
	done := make(chan struct{})
	s.inbox.call(func() { n = len(s.pipeline.parking.slots); close(done) })
	<-done
	return n
}

// Snapshot keeps what a reader holds that has just loaded the head of a hot
// slot, and reads it as a window does.
func (s *Store) Snapshot(slot *Slot) (read func() (string, error)) {
	h := slot.hot.Load()
	snap := h.snap.Load()
	return func() (string, error) {
		w := Window{loads: s.loads, slot: slot, size: len(arrayEmpty)}
		for i, c := range snap.chunks {
			g, err := s.loads.table(slot, c, flight.By{})
			if err != nil {
				return "", err
			}
			w.add(c, g, 0, int(snap.end(i)-c.first), 1<<40)
		}
		var b bytes.Buffer
		_, err := w.WriteTo(&b)
		return b.String(), err
	}
}

// Closing says whether Close was called.
func (s *Store) Closing() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// InSet says whether a subscriber is in the slot's set.
func (s *Slot) InSet(sub *Subscriber) bool {
	set := s.subs.Load()
	return set != nil && slices.Contains(set.list, &sub.member)
}

// HoldLoop holds the commit loop up until free.
func (s *Store) HoldLoop() (free func()) {
	held, in := make(chan struct{}), make(chan struct{})
	s.inbox.call(func() { close(in); <-held })
	<-in
	return func() { close(held) }
}

// InboxLen returns how many things wait for the commit loop, which may be held up.
func (s *Store) InboxLen() int {
	in := s.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	l := &in.letters
	return len(l.fed) + len(l.loaded) + len(l.caught) + len(l.retry) + len(l.recount) + len(l.cool) + len(l.touched) + len(l.probes)
}

// Parked returns how many posts are kept for a load of the slot.
func (s *Store) Parked(slot *Slot) (n int) {
	done := make(chan struct{})
	s.inbox.call(func() {
		if w := s.pipeline.parking.slots[slot]; w != nil {
			n = len(w.posts)
		}
		close(done)
	})
	<-done
	return n
}

// LoadWaiters returns how many requests wait for loads.
func (s *Store) LoadWaiters() int { return s.loads.pool.Waiting() }

// AddRoom has the budget believe that n bytes came free.
func (s *Store) AddRoom(n int64) { s.budget.add(memSlot, -n) }

// LoadsRunning returns how many loads have a turn.
func (s *Store) LoadsRunning() int { return s.loads.pool.Running() }

// BarrierWaiters returns how many callers wait for a barrier.
func (s *Store) BarrierWaiters() int64 { return s.barriers.Load() }

// LaterBytes returns how much of what was fed waits for a batch to be finished.
func (s *Store) LaterBytes() (n int) {
	done := make(chan struct{})
	s.inbox.call(func() { n = s.pipeline.away.later.fedSize; close(done) })
	<-done
	return n
}
