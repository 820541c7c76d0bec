package stream

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"cowrelay/cow"
)

// A slot with as many streams as it may have takes a new one as soon as a client
// has left, whether or not the set has heard of that yet.
func TestHangups_MakeRoomAtOnce(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.store.StreamsPerSlot = 16 })
	slot := g.allocate()
	g.set.hangs.sweeping.Lock() // nothing is heard
	var open []*sse
	for range 16 {
		s, _ := g.open(slot)
		open = append(open, s)
	}
	for _, s := range open[:5] {
		s.Close()
	}
	time.AfterFunc(50*time.Millisecond, g.set.hangs.sweeping.Unlock)
	for range 5 {
		s, _ := g.open(slot) // fails unless there is room
		open = append(open, s)
	}
	if _, _, err := g.tryOpen(slot, 1); !errors.Is(err, cow.ErrTooManyStreams) {
		t.Errorf("one stream too many: %v", err)
	}
	if _, _, n := g.set.Refused(); n != 1 {
		t.Errorf("%d streams were refused by the slot, want 1", n)
	}
	for _, s := range open[5:] {
		s.Close()
	}
	g.eventually("no stream stays", func() bool { return g.set.Len() == 0 })
}

// An idle stream has no goroutine, and the place of a closed one is used again.
func TestHangups_T1_NoGoroutineAStream(t *testing.T) {
	g := newRig(t)
	slot := g.allocate()
	before := runtime.NumGoroutine()
	for range 3 {
		var open []*sse
		for range 200 {
			s, _ := g.open(slot)
			open = append(open, s)
		}
		g.eventually("no goroutine a stream", func() bool { return runtime.NumGoroutine() < before+20 })
		for _, s := range open {
			s.Close()
		}
		g.eventually("no stream stays", func() bool { return g.set.Len() == 0 })
	}
	h := g.set.hangs
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.table) > 250 || len(h.spare) != len(h.table) {
		t.Errorf("%d places, %d of them free, after three times 200 streams", len(h.table), len(h.spare))
	}
}

// A stream that is closed just as it is to be watched leaves its place.
func TestHangups_ClosedBeforeItIsWatched(t *testing.T) {
	g := newRig(t)
	h := g.set.hangs
	_, conn := g.pair()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	st := &Stream{raw: raw}
	st.closed.Store(true)
	h.forget(&st.watch) // as close does, too early
	g.set.watch(st)
	if len(h.table) != 1 {
		t.Fatal("an open connection can't be watched")
	}
	if len(h.spare) != len(h.table) || st.watch != 0 {
		t.Errorf("a closed stream keeps its place: %d places, %d free", len(h.table), len(h.spare))
	}
}

// Without an epoll instance each stream has a goroutine again, and its client's
// leaving is noticed as before.
func TestHangups_WithoutEpoll(t *testing.T) {
	g := newRig(t)
	s := g.set
	s.hangs.close()
	s.readers.Wait()
	s.hangs = new(Hangups)
	s.readers.Go(s.hangs.run)
	slot := g.allocate()
	client, _ := g.open(slot)
	g.post(slot, eventN(0))
	client.want(0, 1)
	s.hangs.Sweep()
	client.Close()
	g.eventually("the stream to end", func() bool { return s.Len() == 0 })
	if n := s.Ended(EndClient); n != 1 {
		t.Errorf("%d streams ended by their clients, want 1", n)
	}
}

// As many streams as there may be, in all and of one client: those whose clients
// have left make room at once.
func TestHangups_MakeRoomInShares(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.most = 6 })
	slot := g.allocate()
	var open []*sse
	add := func(client uint64) {
		t.Helper()
		s, _, err := g.tryOpen(slot, client)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	for _, client := range []uint64{1, 2} {
		for range 3 {
			add(client)
		}
	}
	for i, client := range []uint64{1, 3} {
		g.set.hangs.sweeping.Lock() // nothing is heard
		open[i].Close()
		time.AfterFunc(50*time.Millisecond, g.set.hangs.sweeping.Unlock)
		add(client)
	}
	if n := g.set.Ended(EndCap); n != 0 {
		t.Errorf("%d streams had to give way", n)
	}
}
