package cow

import (
	"slices"

	"cowrelay/cow/event"
)

// Waker hears that there is something new at a subscriber's cursor, or that its
// slot is gone. The commit loop calls Wake, so Wake must not block. It may be
// called when there is nothing new. at is the store's clock in nanoseconds.
type Waker interface{ Wake(at int64) }

// member is a subscriber as its slot sees it: somebody to wake.
type member struct{ waker Waker }

// memberSet is the subscribers of one slot: an immutable list behind Slot.subs.
// Joining and leaving replace the list by compare-and-swap, so that neither of two
// who race is lost. The first member makes the set and the last one removes it:
//
//	nil --join--> [a] --join--> [a b] --leave--> [b] --leave--> nil
//
// The commit loop wakes from one load of the pointer, without a lock, and never
// meets a list that changes.
//
// Why not a concurrent map, which joins in constant time: an empty xsync v3 MapOf
// takes some 3 KB, more than ten cold slots, and most streamed slots have one
// subscriber. Copying the list is linear, but it is one pointer a member, and a slot
// has at most Options.StreamsPerSlot of them (256). BenchmarkLadder_Subscribers
// measures both, and a plain map under a mutex.
type memberSet struct{ list []*member }

// join adds m to the slot's set, unless it has as many members as it may.
func (s *Slot) join(m *member, most int) bool {
	for {
		old := s.subs.Load()
		next := new(memberSet)
		if old != nil {
			if len(old.list) >= most {
				return false
			}
			next.list = make([]*member, len(old.list), len(old.list)+1)
			copy(next.list, old.list)
		}
		next.list = append(next.list, m)
		if s.subs.CompareAndSwap(old, next) {
			return true
		}
	}
}

// leave takes m, which is a member, out of the set, and says whether it was the
// last one.
func (s *Slot) leave(m *member) (last bool) {
	for {
		old := s.subs.Load()
		var next *memberSet
		if len(old.list) > 1 {
			i := slices.Index(old.list, m)
			next = &memberSet{list: slices.Concat(old.list[:i], old.list[i+1:])}
		}
		if s.subs.CompareAndSwap(old, next) {
			return next == nil
		}
	}
}

// wakeSubscribers wakes all members. now is asked only if there is one.
func (s *Slot) wakeSubscribers(now func() int64) {
	if set := s.subs.Load(); set != nil {
		at := now()
		for _, m := range set.list {
			m.waker.Wake(at)
		}
	}
}

// Subscribers returns how many streams and long polls the slot has.
func (s *Slot) Subscribers() int {
	if set := s.subs.Load(); set != nil {
		return len(set.list)
	}
	return 0
}

// appendFrames adds the frames of the events that stand at first and behind to
// those that the subscribers share, and returns by how many bytes memory grew.
// Readers never look behind the head of the snapshot that they hold, so the frames
// may be there before the snapshot is. Only the owner may call it.
func (h *hot) appendFrames(first uint64, events []event.Event, stats *Stats) (grown int64) {
	old := h.frames.Load()
	next := old.Append(first, events)
	stats.FramesEncoded.Add(uint64(len(events)))
	// An eviction takes the log out, and its bytes off the books, by exchanging
	// old for nil.
	if old != nil && h.frames.CompareAndSwap(old, next) {
		return next.Bytes() - old.Bytes()
	}
	h.frames.Store(next)
	return next.Bytes()
}
