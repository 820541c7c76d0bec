package cow_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

// A health record is written like a post: not onto a disk that is nearly full,
// and not into a store that closes.
func TestStore_HealthKeepsToTheReserve(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	m := journaltest.NewMemory()
	s, err := cow.Open(m, m, cow.Options{Free: func() (uint64, error) { return free.Load(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	id, _, _, err := s.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	slot := s.Slot(id)
	if err := s.SetHealth(slot, []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	free.Store(0)
	time.Sleep(150 * time.Millisecond) // the reading is that old at most
	if err := s.SetHealth(slot, []byte(`{"a":2}`)); !errors.Is(err, cow.ErrNoSpace) {
		t.Errorf("on a full disk: %v", err)
	}
	free.Store(1 << 40)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetHealth(slot, []byte(`{"a":3}`)); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
	if v, err := s.Health(slot); err != nil || string(v) != `{"a":1}` {
		t.Errorf("health is %s, %v", v, err)
	}
}

// A pull that comes when the store has closed gets an error, and reads nothing
// from a journal that may be closed.
func TestClose_LoadsNothingMore(t *testing.T) {
	m := journaltest.NewMemory()
	s, err := cow.Open(m, m, cow.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id, _, _, err := s.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	p := s.NewPost()
	if err := p.Accept([]byte(`{"event":{"event_id":"a"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Commit(s.Slot(id)); err != nil {
		t.Fatal(err)
	}
	p.Release()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m = m.Reopen()
	if s, err = cow.Open(m, m, cow.Options{}); err != nil { // cold now
		t.Fatal(err)
	}
	slot := s.Slot(id)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loads := m.Loads()
	var w cow.Window
	if err := s.Window(slot, cow.Oldest(), 10, &w); !errors.Is(err, cow.ErrClosed) {
		t.Errorf("a pull of a cold slot: %v", err)
	}
	if n := m.Loads(); n != loads {
		t.Errorf("%d loads after the close", n-loads)
	}
}
