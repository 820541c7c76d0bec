package journaltest

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
)

func testLoadFrom(t *testing.T, s *suite) {
	id, other := s.create(), s.create()
	s.append(other, 3, 100)
	for _, n := range []int{1, 5, 1, 300, 2, 700} {
		s.append(id, n, 90)
	}
	count := s.model[id].Count
	for _, from := range []uint64{0, 1, 5, 6, 7, 8, 306, 307, 308, 309, count - 1, count, count + 1, count + 1000, 1 << 40, 1<<64 - 1} {
		s.checkLoad(id, from)
	}
	empty := s.create()
	s.checkLoad(empty, 0)
	s.checkLoad(empty, 9)
}

// testLoadStops: yield's error ends a load and comes back as it is.
func testLoadStops(t *testing.T, s *suite) {
	id := s.create()
	for range 5 {
		s.append(id, 400, 90)
	}
	stop := errors.New("stop")
	calls := 0
	err := s.j.Load(id, 0, func(*cow.Append) error {
		calls++
		if calls == 2 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 2 {
		t.Fatalf("load returned %v after %d calls, want the error of the second", err, calls)
	}
	calls = 0
	s.create()
	if err := s.j.Slots(func(cow.SlotRecord) error { calls++; return stop }); err != stop || calls != 1 {
		t.Fatalf("Slots returned %v after %d calls, want the error of the first", err, calls)
	}
	s.check()
}

// testOwnBytes: the journal keeps no reference to what it was given.
func testOwnBytes(t *testing.T, s *suite) {
	id := s.create()
	e := sampleEvent(0, 100)
	mine := event.Event{JSON: bytes.Clone(e.JSON), IDOff: e.IDOff}
	groups := []cow.Group{s.appendGroup(id, mine)}
	s.j.Commit(groups)
	if groups[0].Outcome != cow.Stored {
		t.Fatalf("outcome %d, want stored", groups[0].Outcome)
	}
	groups[0].Events = []event.Event{e}
	s.stored(&groups[0])
	clear(mine.JSON)
	s.check()
}

func testLargeEvents(t *testing.T, s *suite) {
	id := s.create()
	var events []event.Event
	for i := range 16 {
		events = append(events, sampleEvent(i, event.MaxBytes-100))
	}
	s.commit(s.appendGroup(id, events...))
	s.append(id, 1, 10)
	s.append(id, 1, event.MaxBytes-100)
	s.check()
	s.reopen()
	s.check()
}

// testLoadWhileCommitting: a load sees a prefix that ends at a group, never
// less than what was stored when it began.
func testLoadWhileCommitting(t *testing.T, s *suite) {
	const rounds, size = 100, 7
	id := s.create()
	var stored atomic.Uint64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				before := stored.Load()
				events, err := load(s.j, id, 0)
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				if n := uint64(len(events)); n < before || n%size != 0 {
					t.Errorf("load gives %d events, want a multiple of %d and at least %d", n, size, before)
					return
				}
				for i, e := range events {
					if want := sampleEvent(i, 120); !bytes.Equal(e.JSON, want.JSON) {
						t.Errorf("position %d: %s", i, e.JSON)
						return
					}
				}
			}
		})
	}
	for range rounds {
		s.append(id, size, 120)
		stored.Store(s.model[id].Count)
	}
	close(stop)
	wg.Wait()
	s.check()
}
