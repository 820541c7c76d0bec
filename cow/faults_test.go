package cow_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"cowrelay/cow"
)

// The four faults that the relay of seed.txt had. Each has a check that is run
// twice: against the old way of doing it, beside it in this file, where it must
// find the fault, and against ours, where it must not.

// mailbox is what the checks see of a relay.
type mailbox interface {
	post(event []byte)
	// pull returns the page of the newest events, as many as the limit.
	pull(limit int) [][]byte
	// stream opens a stream. What is delivered to it is in taken; leave is a
	// client that goes away.
	stream() (s interface {
		taken() [][]byte
		leave()
	})
	// streams returns how many streams the mailbox still has a place for, and
	// whether it keeps a list of them.
	streams() (n int, list bool)
}

// fault runs a check against both and says where it went wrong.
func fault(t *testing.T, check func(mailbox) error) {
	t.Helper()
	if err := check(newOldRelay()); err == nil {
		t.Error("the check does not find the fault in the old way of doing it")
	} else {
		t.Logf("the old way: %v", err)
	}
	if err := check(newOurRelay(t)); err != nil {
		t.Errorf("ours: %v", err)
	}
}

// Fault #2: a pull cloned the whole slot, not the window. What a pull
// allocates, and so can copy, must not grow with the slot.
func TestFault_WholeSlotCloneOnPull(t *testing.T) {
	fault(t, func(m mailbox) error {
		pull := func() uint64 {
			least := ^uint64(0)
			for range 5 { // others may allocate at the same time
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				m.pull(1)
				runtime.ReadMemStats(&after)
				least = min(least, after.TotalAlloc-before.TotalAlloc)
			}
			return least
		}
		for range 10 {
			m.post(bytes.Repeat([]byte{'x'}, 1000))
		}
		short := pull()
		for range 3000 {
			m.post(bytes.Repeat([]byte{'x'}, 1000))
		}
		if long := pull(); long > short+1000 {
			return fmt.Errorf("a pull of one event took %d bytes of a slot of 10 events, and %d of one of 3,010", short, long)
		}
		return nil
	})
}

// Fault #4: who went away was only pruned by the next broadcast, or the next
// admission. A slot that has fallen silent must not keep anybody.
func TestFault_SubscribersPrunedOnlyAtTheNextPost(t *testing.T) {
	fault(t, func(m mailbox) error {
		m.post([]byte("x"))
		stay := m.stream()
		for range 5 {
			m.stream().leave()
		}
		defer stay.leave()
		if n, _ := m.streams(); n != 1 {
			return fmt.Errorf("a silent slot counts %d streams, and one is there", n)
		}
		return nil
	})
}

// Fault #13: a list stayed for every slot that was ever streamed.
func TestFault_EmptyListsThatStay(t *testing.T) {
	fault(t, func(m mailbox) error {
		for range 3 {
			m.stream().leave()
			m.post([]byte("x")) // what pruned in the old way
		}
		if n, list := m.streams(); n != 0 || list {
			return fmt.Errorf("%d streams are left, and a list of them: %v", n, list)
		}
		return nil
	})
}

// Fault #8: the broadcast cloned the event once for each subscriber. All must
// be given the same bytes.
func TestFault_CloneForEachSubscriberOnBroadcast(t *testing.T) {
	fault(t, func(m mailbox) error {
		const readers = 100
		seen := make(map[*byte]bool)
		type taker interface{ taken() [][]byte }
		var list []taker
		for range readers {
			s := m.stream()
			defer s.leave()
			list = append(list, s)
		}
		m.post([]byte("event"))
		for i, s := range list {
			got := s.taken()
			if len(got) != 1 || !bytes.Contains(got[0], []byte("event")) {
				return fmt.Errorf("stream %d got %q", i, got)
			}
			seen[unsafe.SliceData(got[0])] = true
		}
		if len(seen) != 1 {
			return fmt.Errorf("one event was encoded %d times for %d streams", len(seen), readers)
		}
		return nil
	})
}

// oldRelay is the relay of seed.txt before its fix, in Go: one slot, under one
// mutex, streams as queues.
type oldRelay struct {
	mu     sync.Mutex
	events [][]byte
	subs   map[string][]*oldStream // by slot id
}

type oldStream struct {
	queue [][]byte
	gone  bool
}

func newOldRelay() *oldRelay { return &oldRelay{subs: make(map[string][]*oldStream)} }

func (o *oldRelay) post(event []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, event)
	live := o.subs["slot"][:0]
	for _, s := range o.subs["slot"] {
		if !s.gone { // pruned here and nowhere else
			s.queue = append(s.queue, bytes.Clone(event)) // one for each
			live = append(live, s)
		}
	}
	if _, ok := o.subs["slot"]; ok {
		o.subs["slot"] = live // stays when it is empty
	}
}

func (o *oldRelay) pull(limit int) [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([][]byte, len(o.events))
	for i, e := range o.events { // the whole slot, then the window of it
		all[i] = bytes.Clone(e)
	}
	return all[max(0, len(all)-limit):]
}

func (o *oldRelay) stream() interface {
	taken() [][]byte
	leave()
} {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := new(oldStream)
	o.subs["slot"] = append(o.subs["slot"], s)
	return s
}

func (o *oldRelay) streams() (n int, list bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, list := o.subs["slot"]
	return len(l), list
}

func (s *oldStream) taken() [][]byte { return s.queue }
func (s *oldStream) leave()          { s.gone = true }

// ourRelay is a slot of a store.
type ourRelay struct {
	*fixture
	box *cow.Slot
	n   int
}

func newOurRelay(t *testing.T) *ourRelay {
	f := open(t, cow.Options{})
	return &ourRelay{fixture: f, box: f.slot()}
}

func (o *ourRelay) post(event []byte) {
	o.must(o.box, fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, o.n, event))
	o.n++
}

func (o *ourRelay) pull(limit int) [][]byte {
	since := ""
	if o.n > limit {
		since = fmt.Sprint(o.n - limit - 1)
	}
	var w cow.Window
	if err := o.Window(o.box, cow.After([]byte(since)), limit, &w); err != nil {
		o.Fatal(err)
	}
	return w.Shared()
}

type ourStream struct{ *stream }

func (o *ourRelay) stream() interface {
	taken() [][]byte
	leave()
} {
	return ourStream{o.subscribe(o.box, false, "")}
}

func (o *ourRelay) streams() (n int, list bool) { return o.box.SetLen(), o.box.HasSet() }

func (s ourStream) taken() (list [][]byte) {
	for {
		data, err := s.piece()
		if err != nil || data == nil {
			return list
		}
		list = append(list, data)
		s.Wrote(len(data))
	}
}

func (s ourStream) leave() { s.Close() }
