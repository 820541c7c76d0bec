package cow_test

import (
	"errors"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/frame"
	"cowrelay/cow/journaltest"
)

// A slot was read when it was pulled, when a stream of it ended, and now while one
// is open. Both times outlive a restart, and streams leave the time of the last
// pull alone.
func TestSlot_ReadAt(t *testing.T) {
	j := journaltest.NewMemory()
	var s *cow.Store
	restart := func() {
		t.Helper()
		if s != nil {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			j = j.Reopen()
		}
		var err error
		if s, err = cow.Open(j, j, cow.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	defer func() { s.Close() }()
	id, _, _, err := s.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	want := func(pulled, from, to int64) {
		t.Helper()
		slot := s.Slot(id)
		if got := slot.PulledAt(); got != pulled {
			t.Fatalf("pulled at %d, want %d", got, pulled)
		}
		if got := slot.ReadAt(); got < from || got > to {
			t.Fatalf("read at %d, want %d to %d", got, from, to)
		}
	}
	want(0, 0, 0)
	pulled := time.Now().Add(-time.Hour)
	s.Slot(id).MarkPulled(pulled)
	want(pulled.Unix(), pulled.Unix(), pulled.Unix())
	restart()
	want(pulled.Unix(), pulled.Unix(), pulled.Unix())

	began := time.Now().Unix()
	sub, err := s.Subscribe(s.Slot(id), cow.Newest(), frame.EventIDs, wakerFunc(func(int64) {}))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	open := time.Now().Unix()
	want(pulled.Unix(), open, time.Now().Unix())
	sub.Close()
	want(pulled.Unix(), max(open, began+1), time.Now().Unix())
	restart()
	want(pulled.Unix(), open, time.Now().Unix())
}

// The gate takes a writer of records while posts are taken: not on a full disk, and
// not when the store has closed.
func TestStore_Gate(t *testing.T) {
	var full bool
	j := journaltest.NewMemory()
	s, err := cow.Open(j, j, cow.Options{Reserve: 100, QueuePosts: 2, Free: func() (uint64, error) {
		if full {
			return 10, nil
		}
		return 1000, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var held []func()
	for range 2 {
		done, err := s.Gate()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, done)
	}
	if _, err := s.Gate(); !errors.Is(err, cow.ErrBusy) {
		t.Fatalf("a third writer of two: %v", err)
	}
	for _, done := range held {
		done()
	}
	full = true
	time.Sleep(150 * time.Millisecond) // the free space is read now and then
	for range 3 {                      // one that is refused holds no place
		if _, err := s.Gate(); !errors.Is(err, cow.ErrNoSpace) {
			t.Fatalf("on a full disk: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Gate(); !errors.Is(err, cow.ErrClosed) {
		t.Fatalf("of a closed store: %v", err)
	}
}
