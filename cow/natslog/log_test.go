package natslog_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"cowrelay/cow/natslog"
	"cowrelay/cow/replay"
)

// sendAll sends entries of producer 1, each once. A server that has not heard of a new
// stream yet refuses the first one, so it is sent until one takes it.
func sendAll(t testing.TB, l *natslog.Log, from, to uint64, size int) {
	t.Helper()
	if before := l.Status(); from == 1 && before.Sent == 0 {
		for refused := before.Refused; ; refused = l.Status().Refused {
			if err := l.Send(entry(1, 1, size)); err != nil {
				t.Fatal(err)
			}
			await(t, 20*time.Second, "an answer", func() bool { s := l.Status(); return s.Answered > before.Answered || s.Refused > refused })
			if l.Status().Answered > before.Answered {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		from++
	}
	for n := from; n <= to; n++ {
		end := time.Now().Add(time.Minute)
		for {
			err := l.Send(entry(1, n, size))
			if err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func TestLog_EntriesComeInOrder(t *testing.T) {
	t.Parallel()
	onPlaces(t, func(t *testing.T, o natslog.Options) {
		a, b := open(t, o), open(t, o)
		if a.ID() != b.ID() || a.ID() == ([16]byte{}) {
			t.Fatalf("logs %x and %x", a.ID(), b.ID())
		}
		if first, last, err := a.Ends(context.Background()); first != 1 || last != 0 || err != nil {
			t.Fatalf("an empty log has entries %d to %d, %v", first, last, err)
		}
		sa, sb := follow(t, a, 1), follow(t, b, 1)
		const n = 500
		sendAll(t, a, 1, n, 300)
		await(t, 20*time.Second, "all entries", func() bool { return sa.count() == n && sb.count() == n })
		sa.check(t)
		sb.check(t)
		if sa.of(1) != n || sb.of(1) != n {
			t.Fatalf("%d and %d entries counted", sa.of(1), sb.of(1))
		}
		if first, last, err := b.Ends(context.Background()); first != 1 || last != n || err != nil {
			t.Fatalf("the log has entries %d to %d, %v", first, last, err)
		}
		middle := follow(t, b, n/2)
		await(t, 10*time.Second, "the second half", func() bool { return middle.count() == n-n/2+1 })
		middle.check(t)
		await(t, 5*time.Second, "all answers", func() bool { return a.Status().InFlight == 0 })
		if s := a.Status(); s.Sent-s.Refused != n || s.Answered != n || s.Unanswered != 0 || s.Head != n || !s.Connected || s.Consumers == 0 {
			t.Fatalf("%+v", s)
		}
		if !a.Away().IsZero() {
			t.Fatalf("away since %v", a.Away())
		}
	})
}

func TestLog_LargestEntry(t *testing.T) {
	t.Parallel()
	onPlaces(t, func(t *testing.T, o natslog.Options) {
		l := open(t, o)
		s := follow(t, l, 1)
		if err := l.Send(make([]byte, l.Limit()+1)); err == nil {
			t.Fatal("an entry beyond the limit was sent")
		}
		sendAll(t, l, 1, 8, l.Limit())
		await(t, 20*time.Second, "large entries", func() bool { return s.count() == 8 })
		s.check(t)
	})
}

// What waits for a slow reader is bounded by the server, and nothing is lost.
func TestLog_SlowReader(t *testing.T) {
	t.Parallel()
	o := places(t)[0].o
	o.Stream = newStream()
	l := open(t, o)
	const n, size = 400, 200 << 10 // 80 MB
	fast := follow(t, l, 1)
	sendAll(t, l, 1, n, size)
	await(t, 30*time.Second, "all entries", func() bool { return fast.count() == n })
	slow := &seen{first: 1, last: make(map[uint64]uint64)}
	stop := errors.New("enough")
	err := l.Follow(context.Background(), 1, func(seq uint64, e []byte) error {
		if seq == 1 {
			time.Sleep(2 * time.Second) // the server has sent what it may
		}
		if err := slow.take(seq, e); err != nil {
			return err
		}
		if seq == n {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	slow.check(t)
	// A busy machine may cost some.
	if got := l.Status().Consumers; got > 6 {
		t.Fatalf("%d consumers for two readers", got)
	}
}

// What waits for a slow reader stays within the reader's memory, which is less than the
// server sends ahead, and nothing is lost: what was dropped is fetched.
func TestLog_SlowReaderInLittleMemory(t *testing.T) {
	t.Parallel()
	o := places(t)[0].o
	o.Stream = newStream()
	fast := open(t, o)
	all := follow(t, fast, 1)
	const n, size = 400, 200 << 10 // 80 MB
	sendAll(t, fast, 1, n, size)
	await(t, 30*time.Second, "all entries", func() bool { return all.count() == n })
	o.Memory = natslog.MinMemory
	l := open(t, o)
	slow := &seen{first: 1, last: make(map[uint64]uint64)}
	most, stop := int64(0), errors.New("enough")
	err := l.Follow(context.Background(), 1, func(seq uint64, e []byte) error {
		// The reader pauses until more was sent than may wait: the first that was dropped
		// leaves the most that fits.
		if seq == 1 {
			await(t, 20*time.Second, "a full memory", func() bool { return l.Status().WaitingBytes > natslog.MinMemory/2-2*size })
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(time.Millisecond)
		most = max(most, l.Status().WaitingBytes)
		if err := slow.take(seq, e); err != nil {
			return err
		}
		if seq == n {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	slow.check(t)
	if most > natslog.MinMemory/2 {
		t.Errorf("%d bytes waited", most)
	}
	if got := l.Status().Consumers; got > 20 {
		t.Errorf("%d consumers for 80 MB: what is dropped is to be fetched", got)
	}
}

func TestLog_MadeOnce(t *testing.T) {
	t.Parallel()
	onPlaces(t, func(t *testing.T, o natslog.Options) {
		const n = 6
		var wg sync.WaitGroup
		var logs [n]*natslog.Log
		for i := range n {
			wg.Go(func() {
				l, err := natslog.Open(context.Background(), o)
				if err != nil {
					t.Error(err)
					return
				}
				logs[i] = l
			})
		}
		wg.Wait()
		for _, l := range logs {
			if l == nil {
				t.FailNow()
			}
			if l.ID() != logs[0].ID() {
				t.Errorf("one log has the IDs %x and %x", l.ID(), logs[0].ID())
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLog_Purge(t *testing.T) {
	t.Parallel()
	onPlaces(t, func(t *testing.T, o natslog.Options) {
		l := open(t, o)
		s := follow(t, l, 1)
		sendAll(t, l, 1, 20, 100)
		await(t, 10*time.Second, "all entries", func() bool { return s.count() == 20 })
		ends := func(wantFirst, wantLast uint64) {
			t.Helper()
			if first, last, err := l.Ends(context.Background()); first != wantFirst || last != wantLast || err != nil {
				t.Fatalf("the log has entries %d to %d, %v: want %d to %d", first, last, err, wantFirst, wantLast)
			}
		}
		for range 2 { // asked twice it purges once
			if err := l.Purge(context.Background(), 10); err != nil {
				t.Fatal(err)
			}
			ends(11, 20)
		}
		if err := l.Purge(context.Background(), 5); err != nil {
			t.Fatal(err)
		}
		ends(11, 20)
		err := l.Follow(context.Background(), 10, func(uint64, []byte) error { return nil })
		if !errors.Is(err, replay.ErrTrimmed) {
			t.Fatalf("Follow from a purged entry: %v", err)
		}
		rest := follow(t, l, 11)
		await(t, 10*time.Second, "the rest", func() bool { return rest.count() == 10 })
		rest.check(t)
		// Numbers go on behind the last one, also when all is purged.
		if err := l.Purge(context.Background(), 1000); err != nil {
			t.Fatal(err)
		}
		ends(21, 20)
		sendAll(t, l, 21, 22, 100)
		await(t, 10*time.Second, "two more", func() bool { return rest.count() == 12 && s.count() == 22 })
		rest.check(t)
		s.check(t)
		ends(21, 22)
	})
}

func TestLog_FollowEnds(t *testing.T) {
	t.Parallel()
	o := places(t)[0].o
	o.Stream = newStream()
	l := open(t, o)
	sendAll(t, l, 1, 3, 100)
	mine := errors.New("mine")
	n := 0
	if err := l.Follow(context.Background(), 1, func(uint64, []byte) error { n++; return mine }); !errors.Is(err, mine) || n != 1 {
		t.Fatalf("%v after %d entries", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	begun := time.Now()
	if err := l.Follow(ctx, 1, func(seq uint64, _ []byte) error {
		if seq == 3 {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		return nil
	}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if d := time.Since(begun); d > 20*time.Second {
		t.Errorf("Follow ended %v after its context", d)
	}
	// Close ends Follow, and what comes later is refused.
	ended := make(chan error, 1)
	began := make(chan struct{})
	go func() {
		ended <- l.Follow(context.Background(), 3, func(uint64, []byte) error { close(began); return nil })
	}()
	<-began
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("Follow ended without an error")
	}
	if l.Send([]byte("x")) == nil || l.Follow(context.Background(), 1, nil) == nil || l.Close() != nil {
		t.Error("a closed log takes calls")
	}
	if _, _, err := l.Ends(context.Background()); err == nil {
		t.Error("a closed log has ends")
	}
}

func TestLog_Lost(t *testing.T) {
	t.Parallel()
	lost := func(t *testing.T, s *seen) {
		t.Helper()
		select {
		case err := <-s.ended:
			if !errors.Is(err, replay.ErrLost) {
				t.Fatal(err)
			}
			t.Log(err)
		case <-time.After(time.Minute):
			t.Fatal("Follow goes on")
		}
	}
	onPlaces(t, func(t *testing.T, o natslog.Options) {
		o.Confirm = 2 * time.Second
		ctx := context.Background()
		t.Run("Behind", func(t *testing.T) {
			o.Stream = newStream()
			l := open(t, o)
			sendAll(t, l, 1, 5, 100)
			lost(t, follow(t, l, 50))
		})
		t.Run("Gone", func(t *testing.T) {
			o.Stream = newStream()
			l := open(t, o)
			s := follow(t, l, 1)
			sendAll(t, l, 1, 5, 100)
			await(t, 10*time.Second, "all entries", func() bool { return s.count() == 5 })
			if err := admin(t, o).DeleteStream(ctx, o.Stream); err != nil {
				t.Fatal(err)
			}
			lost(t, s)
			o.Expect = l.ID()
			if _, err := natslog.Open(ctx, o); !isRefusal(err) {
				t.Fatalf("a known log that is gone was opened: %v", err)
			}
		})
		t.Run("MadeAnew", func(t *testing.T) {
			o.Stream, o.Expect = newStream(), [16]byte{}
			l := open(t, o)
			s := follow(t, l, 1)
			sendAll(t, l, 1, 5, 100)
			await(t, 10*time.Second, "all entries", func() bool { return s.count() == 5 })
			if err := admin(t, o).DeleteStream(ctx, o.Stream); err != nil {
				t.Fatal(err)
			}
			other := open(t, o)
			if other.ID() == l.ID() {
				t.Fatal("a new log has the ID of the old one")
			}
			lost(t, s)
			o.Expect = l.ID()
			if _, err := natslog.Open(ctx, o); !isRefusal(err) {
				t.Fatalf("another log was opened: %v", err)
			}
		})
	})
}

func isRefusal(err error) bool {
	var r *natslog.Refusal
	return errors.As(err, &r)
}
