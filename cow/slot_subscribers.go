package cow

import (
	"slices"
	"sync/atomic"

	"cowrelay/cow/frame"
)

// Waker hears that there is something new at a subscriber's cursor, or that its
// slot is gone. The commit loop calls Wake, so Wake must not block. It may be
// called when there is nothing new. at is the store's clock in nanoseconds.
type Waker interface{ Wake(at int64) }

// member is a subscriber as its slot sees it: somebody to wake, and perhaps a reader
// of the frames that the slot shares.
type member struct {
	waker Waker
	ids   frame.IDs // of the frames that it reads
}

// members are the subscribers of one slot: a pointer to an immutable list. Joining
// and leaving replace the list by compare-and-swap, so that neither of two who race
// is lost. The first member makes the list and the last one removes it:
//
//	nil --join--> [a] --join--> [a b] --leave--> [b] --leave--> nil
//
// The commit loop wakes from one load of the pointer, without a lock, and never
// meets a list that changes.
//
// Why not a concurrent map, which joins in constant time? An empty xsync v3 MapOf
// takes 3 KB, ten times a cold slot, where most streamed slots have one subscriber
// and a list of one takes some 40 bytes. The commit loop wakes far more often than
// somebody joins, and waking one took 22 ns against 2.2 µs, waking 256 took 1 µs
// against 7 µs. The price is joining: beside 255 others it took 5 µs against 0.1 µs,
// and a slot has no more members than that (Options.StreamsPerSlot, 256). A map
// under a lock lost as well: waking would hold the lock against those who join.
// BenchmarkSubscribers measures all three.
type members struct{ atomic.Pointer[memberSet] }

// memberSet is immutable.
type memberSet struct {
	list    []*member
	readers [frame.Kinds]uint16 // how many of the list read frames of a kind
}

// count notes in a set that is being made that n members came or left.
func (s *memberSet) count(m *member, n int) {
	if m.ids < frame.Kinds {
		s.readers[m.ids] += uint16(n)
	}
}

// join adds m, unless there are most members already.
func (s *members) join(m *member, most int) bool {
	for {
		old := s.Load()
		next := new(memberSet)
		if old != nil {
			if len(old.list) >= most {
				return false
			}
			*next = memberSet{make([]*member, len(old.list), len(old.list)+1), old.readers}
			copy(next.list, old.list)
		}
		next.list = append(next.list, m)
		next.count(m, 1)
		if s.CompareAndSwap(old, next) {
			return true
		}
	}
}

// leave takes m out, which must be a member, and says whether it was the last one
// that read frames of its kind.
func (s *members) leave(m *member) (last bool) {
	for {
		old := s.Load()
		var next *memberSet
		if len(old.list) > 1 {
			i := slices.Index(old.list, m)
			next = &memberSet{slices.Concat(old.list[:i], old.list[i+1:]), old.readers}
			next.count(m, -1)
		}
		if s.CompareAndSwap(old, next) {
			return m.ids < frame.Kinds && (next == nil || next.readers[m.ids] == 0)
		}
	}
}

// read says whether a member reads frames of a kind.
func (s *members) read(ids frame.IDs) bool {
	set := s.Load()
	return set != nil && set.readers[ids] > 0
}

// wake wakes all members. now is asked only if there is one.
func (s *members) wake(now func() int64) {
	if set := s.Load(); set != nil {
		at := now()
		for _, m := range set.list {
			m.waker.Wake(at)
		}
	}
}

// len returns how many members there are.
func (s *members) len() int {
	if set := s.Load(); set != nil {
		return len(set.list)
	}
	return 0
}
