package cow_test

import (
	"errors"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/frame"
	"cowrelay/cow/journaltest"
)

// within fails the test when f hangs.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal(what + " hangs")
	}
}

// Loads wait for memory, and others for their turn behind them, with all the
// patience there is. The store closes at once, and everybody hears it.
func TestClose_EndsLoadsThatWait(t *testing.T) {
	f := open(t, cow.Options{MemoryBudget: 1_500_000, LoadPatience: time.Hour, LoadTimeout: time.Hour, QueueTimeout: time.Hour})
	cold := f.coldSlots(20)
	f.AddRoom(f.Memory().Used - f.opts.MemoryBudget)
	errs := make(chan error)
	n := 0
	for _, slot := range cold {
		n++
		go func() { _, err := f.tryPage(slot, "", 10); errs <- err }()
	}
	f.until("the pulls to have all turns", func() bool { return f.LoadsRunning() == 4 })
	for _, slot := range cold {
		n += 3
		go func() { _, err := f.post(slot, ev("new")); errs <- err }()
		go func() { _, _, err := f.ReadLines(nil, slot, 0, 1, 100); errs <- err }()
		go func() {
			_, err := f.Subscribe(slot, cow.After([]byte("first")), frame.EventIDs, newBell())
			errs <- err
		}()
	}
	f.until("all to wait", func() bool { return f.LoadWaiters() == 3*len(cold) })
	f.until("all to wait", func() bool { posts, _ := f.Queue(); return posts == int64(len(cold)) })
	within(t, "the close", f.close)
	within(t, "somebody who waited", func() {
		for range n {
			if err := <-errs; !errors.Is(err, cow.ErrClosed) {
				t.Errorf("who waited got %v, want ErrClosed", err)
			}
		}
	})
	if n := f.Stats().LoadErrors.Load(); n != 0 {
		t.Errorf("%d loads are counted as failed", n)
	}
}

// What waits for its turn behind a load that hangs does not hang with it.
func TestClose_EndsLoadsWithoutATurn(t *testing.T) {
	f := open(t, cow.Options{Loads: 1, LoadTimeout: time.Hour, QueueTimeout: time.Hour})
	cold := f.coldSlots(2)
	held := make(chan struct{})
	defer close(held)
	f.m.OnLoad(func(cow.ID, uint64) error { <-held; return nil })
	go func() { // for ever
		var w cow.Window
		f.Window(cold[0], cow.Oldest(), 10, &w)
	}()
	f.until("the load", func() bool { return f.m.Loads() == 1 })
	post := f.queued(cold[1], ev("a"))
	f.until("the post to be parked", func() bool { return f.Parked(cold[1]) == 1 })
	f.StopLoads()
	if a := f.wait(post); !errors.Is(a.err, cow.ErrClosed) {
		t.Errorf("a post that waits for its turn: %v, want ErrClosed", a.err)
	}
}

// endless is a journal whose slots have no end.
type endless struct{ *journaltest.Memory }

func (j endless) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	for pos := from; ; pos++ {
		a := cow.Append{Op: cow.OpAppend, Slot: slot, Version: pos, First: pos, Events: []event.Event{{JSON: []byte(`{}`)}}}
		if err := yield(&a); err != nil {
			return err
		}
	}
}

// A load that runs ends between two of the groups that the journal gives.
func TestClose_EndsLoadsThatRun(t *testing.T) {
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	m := f.m.Reopen()
	defer m.Close()
	s, err := cow.Open(endless{m}, m, f.opts)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	slot = s.Slot(slot.ID())
	go func() {
		var w cow.Window
		errs <- s.Window(slot, cow.Oldest(), 10, &w)
	}()
	go func() {
		_, _, err := s.ReadLines(nil, slot, 0, 1<<60, 1<<60)
		errs <- err
	}()
	waitFor(t, "the loads", func() bool { return s.Memory().Used > 100_000 })
	within(t, "the close", func() { s.Close() })
	for range 2 {
		if err := <-errs; !errors.Is(err, cow.ErrClosed) {
			t.Errorf("a load that ran got %v, want ErrClosed", err)
		}
	}
	if n := s.Memory().Used; n != 0 {
		t.Errorf("%d bytes are counted as used", n)
	}
}

// A stream that waits for a load ends with its subscriber, and with the drain,
// though the load does not.
func TestSubscriber_LoadEnds(t *testing.T) {
	for name, end := range map[string]func(*fixture, *stream){
		"closed":        func(_ *fixture, st *stream) { st.Close() },
		"loads stopped": func(f *fixture, _ *stream) { f.StopLoads(); f.StopLoads() },
	} {
		for what, leave := range map[string]func(*fixture, *cow.Slot){
			"slot":  func(f *fixture, slot *cow.Slot) { f.Cool(slot) },
			"chunk": func(f *fixture, slot *cow.Slot) { f.EvictChunks(slot) },
		} {
			t.Run(name+", waits for a "+what, func(t *testing.T) {
				f := open(t, cow.Options{LoadTimeout: time.Hour})
				slot := f.slot()
				f.fill(slot, 0, 300)
				st := f.subscribe(slot, true, "")
				defer st.Close()
				f.DropFrames(slot)
				leave(f, slot)
				held := make(chan struct{})
				defer close(held)
				f.m.OnLoad(func(cow.ID, uint64) error { <-held; return nil })
				if _, err := st.Next(st.buf); !errors.Is(err, cow.ErrNotResident) {
					t.Fatalf("next: %v, want ErrNotResident", err)
				}
				ended := make(chan error)
				go func() { ended <- st.Load() }()
				f.until("the load", func() bool { return f.LoadWaiters() == 1 })
				end(f, st)
				within(t, "the stream", func() {
					if err := <-ended; !errors.Is(err, cow.ErrClosed) {
						t.Errorf("the load of the stream: %v, want ErrClosed", err)
					}
				})
				if err := st.Load(); !errors.Is(err, cow.ErrClosed) {
					t.Errorf("another load: %v, want ErrClosed", err)
				}
			})
		}
	}
}

// Records are not written, and nobody waits for one, while the disk hangs.
func TestRecords_AreRefusedWhileTheDiskHangs(t *testing.T) {
	f := open(t, cow.Options{StallAfter: time.Millisecond})
	slot := f.slot()
	entered, release := f.m.Hold()
	defer release()
	post := f.later(slot, ev("a"))
	<-entered
	time.Sleep(20 * time.Millisecond)
	for name, err := range map[string]error{
		"health": f.SetHealth(slot, []byte(`{}`)), "block": f.Block(slot, nil), "unblock": f.Unblock(slot),
	} {
		if !errors.Is(err, cow.ErrBusy) {
			t.Errorf("%s: %v, want ErrBusy", name, err)
		}
	}
	release()
	f.wait(post)
	f.until("the commit to end", func() bool { return f.SetHealth(slot, []byte(`{}`)) == nil })
}

// hungRecords are records whose writes hang.
type hungRecords struct {
	*journaltest.Memory
	entered, free chan struct{}
}

func (r hungRecords) Put(key string, value []byte, expected uint64, count cow.Totals) (uint64, error) {
	r.entered <- struct{}{}
	<-r.free
	return r.Memory.Put(key, value, expected, count)
}

// Only so many requests wait for records.
func TestRecords_WritersAreBounded(t *testing.T) {
	m := journaltest.NewMemory()
	defer m.Close()
	r := hungRecords{m, make(chan struct{}), make(chan struct{})}
	s, err := cow.Open(m, r, cow.Options{QueuePosts: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, _, _, err := s.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	slot := s.Slot(id)
	errs := make(chan error)
	go func() { errs <- s.SetHealth(slot, []byte(`{}`)) }()
	go func() { errs <- s.Block(slot, nil) }()
	<-r.entered
	<-r.entered
	within(t, "a write beyond the bound", func() {
		for name, write := range map[string]func() error{
			"health":  func() error { return s.SetHealth(slot, []byte(`{}`)) },
			"block":   func() error { return s.Block(slot, nil) },
			"unblock": func() error { return s.Unblock(slot) },
		} {
			if err := write(); !errors.Is(err, cow.ErrBusy) {
				t.Errorf("%s beyond the bound: %v, want ErrBusy", name, err)
			}
		}
	})
	close(r.free)
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := s.Unblock(slot); err != nil {
		t.Errorf("when they have ended: %v", err)
	}
}
