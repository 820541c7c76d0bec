package replay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

func openShared(t testing.TB, s *replaytest.Server, store replay.MemberStore, opts replay.Options) *replay.SharedJournal {
	t.Helper()
	j, err := replay.OpenShared(t.Context(), s.Client(), store, opts)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// fed begins the feed of a journal that nobody listens to.
func fed(j *replay.SharedJournal) *replay.SharedJournal {
	j.Feed(func(*cow.Append) {})
	return j
}

// sharedWith opens journals on a shared log in memory, each with what ready does.
func sharedWith(faults replaytest.SharedFaults, ready func(*replay.SharedJournal) *replay.SharedJournal) journaltest.Open {
	return func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		server, store := replaytest.NewServer(1), replaytest.NewStore()
		server.SetFaults(faults)
		opts := options(t)
		opts.ResendAfter = 50 * time.Millisecond
		opts.Patience = time.Minute
		opts.Format = byte(replay.Reads()) // the relay has the log for itself
		j := ready(openShared(t, server, store, opts))
		t.Cleanup(func() { j.Close() })
		return j, j, func() (cow.Journal, cow.Records) {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			store = store.Reopen()
			j = ready(openShared(t, server, store, opts))
			return j, j
		}
	}
}

func plain(j *replay.SharedJournal) *replay.SharedJournal { return j }

// faulty is a connection on which much goes wrong.
var faulty = replaytest.SharedFaults{Lose: 30, Double: 50, Late: 30, Cut: 5, Silent: 300, Refuse: 20, Delay: 30 * time.Millisecond}

// TestShared: the suite that every journal passes.
func TestShared(t *testing.T) {
	for name, faults := range map[string]replaytest.SharedFaults{"good": {}, "faulty": faulty} {
		t.Run(name, func(t *testing.T) { journaltest.Run(t, sharedWith(faults, fed)) })
	}
}

// TestShared_History: unchanged package cow does on a shared log what it does on every
// journal.
func TestShared_History(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			faults := replaytest.SharedFaults{}
			if seed%2 == 1 {
				faults = faulty
			}
			got := journaltest.History(t, sharedWith(faults, plain), seed, 300)
			want := journaltest.History(t, openWith(0), seed, 300)
			if got != want {
				t.Errorf("the transcripts differ; replay it with: %s", journaltest.Replay(seed))
			}
			journaltest.HistoryAtOnce(t, sharedWith(faults, plain), seed, 100)
		})
	}
}

// TestShared_Fleet: see replaytest.RunFleet. Time is virtual, so much can go wrong.
func TestShared_Fleet(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := replaytest.NewServer(seed)
				faults := replaytest.SharedFaults{}
				if seed%3 > 0 {
					faults = replaytest.SharedFaults{Lose: 20, Double: 30, Late: 30, Cut: 4, Silent: 300, Refuse: 10, Delay: 3 * time.Second, Latency: 2 * time.Millisecond}
				}
				server.SetFaults(faults)
				replaytest.RunFleet(t, replaytest.Fleet{
					Relays: 1 + int(seed%4), Steps: 200, Seed: seed, Restarts: seed%2 == 0, Large: seed%5 < 2,
					Connect: func(testing.TB) replay.SharedLog { return server.Client() },
					Options: replay.Options{Backlog: []int64{0, 64 << 10}[seed/2%2], FeedBytes: []int64{0, 2000}[seed/4%2], Patience: time.Hour, Format: byte(replay.Reads())},
					Quiet: func() {
						server.SetFaults(replaytest.SharedFaults{})
						server.Wait()
					},
				})
			})
		})
	}
}

// TestOpenShared_Start: from where a store begins, or why it can't.
func TestOpenShared_Start(t *testing.T) {
	write := func(j *replay.SharedJournal) cow.ID {
		id := cow.NewID()
		app := appendOf(id, 0, 0, 3, 100)
		commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, app)
		return id
	}
	has := func(j *replay.SharedJournal, id cow.ID) {
		t.Helper()
		if n, err := loadCount(j, id, 0); n != 3 || err != nil {
			t.Errorf("slot %s: %d events, %v; want 3", id, n, err)
		}
	}
	end := func(j *replay.SharedJournal) {
		t.Helper()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(s *replaytest.Server, store replay.MemberStore, want error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := replay.OpenShared(ctx, s.Client(), store, options(t)); !errors.Is(err, want) {
			t.Errorf("open: %v, want %v", err, want)
		}
	}
	// embedded makes a store that had a log of its own.
	embedded := func(id cow.ID) *replaytest.Store {
		store := replaytest.NewStore()
		j := mustOpen(t, replaytest.NewLog(0), store, options(t))
		commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, appendOf(id, 0, 0, 3, 100))
		for range 5 {
			if _, err := j.Put("k", nil, versionOf(j, "k"), cow.Totals{HandleClaims: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		return store.Reopen()
	}

	t.Run("from nothing", func(t *testing.T) {
		s := replaytest.NewServer(1)
		first := replaytest.NewStore()
		a := openShared(t, s, first, options(t))
		id := write(a)
		b := openShared(t, s, replaytest.NewStore(), options(t))
		has(b, id)
		if x, y := a.Stats(), b.Stats(); x.Digest != y.Digest || y.Health.Applied != x.Health.Applied || y.Replayed != x.Last {
			t.Errorf("stats\n%+v\n%+v", x, y)
		}
		end(a)
		fed(b)
		id2 := write(b)
		a = openShared(t, s, first.Reopen(), options(t))
		has(a, id)
		has(a, id2)
		end(a)
		end(b)
		s.Client().Purge(t.Context(), 2)
		refused(s, replaytest.NewStore(), replay.ErrTrimmed)
	})
	t.Run("two at once", func(t *testing.T) {
		s := replaytest.NewServer(1)
		resume := s.Pause()
		open := make(chan *replay.SharedJournal)
		for range 3 {
			go func() {
				resume2 := s // both ask while the log is empty
				j, err := replay.OpenShared(context.Background(), resume2.Client(), replaytest.NewStore(), options(t))
				if err != nil {
					t.Error(err)
				}
				open <- j
			}()
		}
		resume()
		a, b, c := <-open, <-open, <-open
		id := write(a)
		for _, j := range []*replay.SharedJournal{b, c} {
			fed(j)
			if err := j.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
			has(j, id)
			end(j)
		}
		end(a)
	})
	t.Run("from an embedded store", func(t *testing.T) {
		s, id := replaytest.NewServer(1), cow.NewID()
		old := embedded(id)
		a := openShared(t, s, old, options(t))
		has(a, id)
		fed(a)
		was := versionOf(a, "k")
		v, err := a.Put("k", nil, was, cow.Totals{})
		if err != nil || v <= was {
			t.Errorf("version %d behind %d, %v: a version may come twice", v, was, err)
		}
		id2 := write(a)
		refused(s, replaytest.NewStore(), replay.ErrTrimmed)
		refused(s, embedded(cow.NewID()), replay.ErrForeignData)
		end(a)
		copied := old.Reopen() // a checkpoint
		b := openShared(t, s, copied, options(t))
		has(b, id)
		has(b, id2)
		end(b)
		refused(replaytest.NewServer(2), copied.Reopen(), replay.ErrOtherLog)
		if _, err := replay.Open(replaytest.NewLog(0), copied.Reopen(), options(t)); !errors.Is(err, replay.ErrShared) {
			t.Errorf("open with a log of its own: %v", err)
		}
		alone := copied.Reopen()
		if err := alone.LeaveLog(); err != nil {
			t.Fatal(err)
		}
		j := mustOpen(t, replaytest.NewLog(alone.Durable()), alone, options(t))
		if n, err := loadCount(j, id2, 0); n != 3 || err != nil {
			t.Errorf("alone: %d events, %v", n, err)
		}
		if after, err := j.Put("k", nil, v, cow.Totals{}); err != nil || after <= v {
			t.Errorf("alone: version %d behind %d, %v", after, v, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		refused(s, alone.Reopen(), replay.ErrForeignData)
	})
	t.Run("a second embedded store", func(t *testing.T) {
		s, id := replaytest.NewServer(1), cow.NewID()
		end(openShared(t, s, embedded(id), options(t)))
		// It asked while the log was empty and was second.
		loser := embedded(cow.NewID())
		if err := loser.JoinLog(s.Client().ID(), 77); err != nil {
			t.Fatal(err)
		}
		refused(s, loser, replay.ErrForeignData)
	})
	t.Run("a crash before the first entry", func(t *testing.T) {
		s, id := replaytest.NewServer(1), cow.NewID()
		store := embedded(id)
		if err := store.JoinLog(s.Client().ID(), 77); err != nil {
			t.Fatal(err)
		}
		a := openShared(t, s, store.Reopen(), options(t))
		has(a, id)
		end(a)
	})
	t.Run("lost entries", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, store := replaytest.NewServer(1), replaytest.NewStore()
			a := openShared(t, s, store, options(t))
			write(a)
			end(a)
			s.Cut(1)
			refused(s, store.Reopen(), replay.ErrLost)
		})
	})
	t.Run("not ours", func(t *testing.T) {
		s := replaytest.NewServer(1)
		s.Client().Send([]byte("hello"))
		s.Wait()
		refused(s, replaytest.NewStore(), replay.ErrNotOurs)
	})
}

func versionOf(j cow.Records, key string) uint64 {
	_, version, _ := j.Value(key)
	return version
}

// TestShared_Damage: what no relay may make of a log stops it, and says what it is.
func TestShared_Damage(t *testing.T) {
	for name, test := range map[string]struct {
		change func(entry []byte) []byte
		want   string
	}{
		"checksum": {func(e []byte) []byte { e[40] ^= 1; return e }, "checksum"},
		"short":    {func(e []byte) []byte { return e[:10] }, "has 10 bytes"},
		"format":   {func(e []byte) []byte { e[0] = 9; return replay.Reseal(e) }, "start a newer cowrelay"},
		"digest":   {func(e []byte) []byte { e[25] ^= 1; return replay.Reseal(e) }, "different states"},
		"op":       {func(e []byte) []byte { e[33] = 99; return replay.Reseal(e) }, "unknown kind"},
		"ahead":    {func(e []byte) []byte { e[17] = 1; return replay.Reseal(e) }, "had applied"},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := replaytest.NewServer(1), replaytest.NewStore()
			a := openShared(t, s, store, options(t))
			for range 5 {
				commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: cow.NewID()})
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			s.Change(5, test.change)
			_, err := replay.OpenShared(t.Context(), s.Client(), replaytest.NewStore(), options(t))
			if err == nil || !strings.Contains(err.Error(), "entry 5 of the shared log") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("open: %v, want one that speaks of %q", err, test.want)
			}
		})
	}
}

// TestShared_Diverged: a relay whose state is another stops, and so does one that
// hears of it.
func TestShared_Diverged(t *testing.T) {
	s := replaytest.NewServer(1)
	fatal := make(chan error, 1)
	opts := options(t)
	opts.Fatal = func(err error) { fatal <- err }
	store := replaytest.NewStore()
	theirs := options(t)
	theirs.Fatal = func(error) {} // it hears of itself too
	a, b := fed(openShared(t, s, store, theirs)), fed(openShared(t, s, replaytest.NewStore(), opts))
	for _, j := range []*replay.SharedJournal{b, a} { // a is behind b's entry, too
		if err := j.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	replay.Diverge(a)
	s.Wait()
	go func() { a.Barrier(t.Context()) }()
	if err := <-fatal; !errors.Is(err, replay.ErrDiverged) {
		t.Errorf("Fatal got %v", err)
	}
	if b.Stats().LastError == nil {
		t.Error("Stats does not say what failed")
	}
}

// TestShared_Away: while the log can't be reached Put gives up, Commit waits, and reads
// go on. What was asked for happens once when the log is back.
func TestShared_Away(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := replaytest.NewServer(1)
		a, b := fed(openShared(t, s, replaytest.NewStore(), options(t))), fed(openShared(t, s, replaytest.NewStore(), options(t)))
		id := cow.NewID()
		app := appendOf(id, 0, 0, 3, 100)
		commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: id}, app)
		resume := s.Pause()
		done := make(chan []cow.Group)
		go func() {
			groups := []cow.Group{appendOf(id, app.Count, app.Bytes, 2, 100)}
			a.Commit(groups)
			done <- groups
		}()
		start := time.Now()
		if _, err := a.Put("k", []byte("x"), 0, cow.Totals{}); !errors.Is(err, cow.ErrAway) || time.Since(start) != replay.DefaultPatience {
			t.Errorf("put: %v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := b.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("barrier: %v", err)
		}
		cancel()
		if h := a.Health(); h.Away < replay.DefaultPatience {
			t.Errorf("health %+v", h)
		}
		if n, err := loadCount(a, id, 0); n != 3 || err != nil {
			t.Errorf("load: %d events, %v", n, err)
		}
		select {
		case <-done:
			t.Fatal("a commit ended while the log was away")
		default:
		}
		resume()
		if groups := <-done; groups[0].Outcome != cow.Stored {
			t.Errorf("outcome %d", groups[0].Outcome)
		}
		if err := b.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Wait()
		if err := b.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, err := loadCount(b, id, 0); n != 5 || err != nil {
			t.Errorf("load: %d events, %v", n, err)
		}
		if st := a.Stats(); st.Resent == 0 || st.Doubles == 0 || st.Pending != 0 || st.Health.Away != 0 {
			t.Errorf("stats %+v", st)
		}
		a.Close()
		b.Close()
	})
}

// TestShared_Stop: behind Stop, and behind Close, nobody waits for the log.
func TestShared_Stop(t *testing.T) {
	for _, stop := range []bool{true, false} {
		s := replaytest.NewServer(1)
		a := fed(openShared(t, s, replaytest.NewStore(), options(t)))
		id := cow.NewID()
		commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: id})
		resume := s.Pause()
		done := make(chan cow.Outcome, 1)
		given := []cow.Group{appendOf(id, 0, 0, 2, 100)}
		go func() {
			a.Commit(given)
			done <- given[0].Outcome
		}()
		waits := func(n int) {
			t.Helper()
			soon(t, "the call waits", func() bool { return a.Stats().Pending == n })
		}
		waits(1)
		errs := make(chan error, 2)
		go func() { errs <- a.Delete("k", 1) }()
		waits(2)
		go func() { errs <- a.Barrier(context.Background()) }()
		waits(3)
		if stop {
			a.Stop()
		} else if err := a.Close(); err != nil {
			t.Error(err)
		}
		if got := <-done; got != cow.Unknown {
			t.Errorf("outcome %d, want unknown", got)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, cow.ErrAway) {
				t.Errorf("error %v", err)
			}
		}
		if stop {
			resume()
			soon(t, "the entry is applied", func() bool { n, _ := loadCount(a, id, 0); return n == 2 })
			if given[0].Outcome != cow.Unknown {
				t.Error("an outcome was written into groups that are the caller's again")
			}
			resume = s.Pause()
			groups := []cow.Group{appendOf(id, 2, given[0].Bytes, 2, 100)}
			if a.Commit(groups); groups[0].Outcome != cow.Unknown {
				t.Errorf("a commit behind Stop: outcome %d, want unknown", groups[0].Outcome)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
		resume()
	}
}

// TestShared_ForgottenProducer: a relay that was quiet while many others wrote is
// forgotten by the log, and goes on all the same: nothing is lost and nothing counts
// twice.
func TestShared_ForgottenProducer(t *testing.T) {
	replay.SetMaxProducers(t, 3)
	s := replaytest.NewServer(1)
	a := fed(openShared(t, s, replaytest.NewStore(), options(t)))
	defer a.Close()
	id := cow.NewID()
	app := appendOf(id, 0, 0, 3, 100)
	commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: id}, app)
	store := replaytest.NewStore()
	for i := range 5 {
		b := openShared(t, s, store, options(t))
		commitAll(t, b, cow.Group{Op: cow.OpCreate, Slot: cow.NewID()})
		if i == 3 { // one is on its way when the log forgets it
			a.Commit([]cow.Group{{Op: cow.OpTouch, Slot: id}})
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		store = store.Reopen()
	}
	for range 3 {
		next := appendOf(id, app.Count, app.Bytes, 1, 100)
		commitAll(t, a, next)
		app = next
	}
	if n, err := loadCount(a, id, 0); n != 6 || err != nil {
		t.Errorf("%d events, %v; want 6", n, err)
	}
	v, err := store.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if m, err := v.Member(); err != nil || len(m.Producers) > 3 {
		t.Errorf("the store keeps %d producers, %v", len(m.Producers), err)
	}
}

// TestShared_FeedBound: what waits for the feed is bounded. Beyond it appends come
// without events, once for a slot, and the journal has all of them by then.
func TestShared_FeedBound(t *testing.T) {
	s := replaytest.NewServer(1)
	opts := options(t)
	opts.FeedBytes = 10_000
	a, b := fed(openShared(t, s, replaytest.NewStore(), options(t))), openShared(t, s, replaytest.NewStore(), opts)
	defer a.Close()
	defer b.Close()
	g := newGate()
	g.close()
	events, gaps := 0, 0
	b.Feed(func(x *cow.Append) {
		g.pass()
		switch {
		case x.Op != cow.OpAppend:
		case x.Events == nil:
			gaps++
			if n, err := loadCount(b, x.Slot, x.First); err != nil || n < int(x.Version-x.First) {
				t.Errorf("the journal has %d events behind position %d, %v", n, x.First, err)
			}
		default:
			events += len(x.Events)
		}
	})
	id := cow.NewID()
	commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: id})
	app := cow.Group{}
	for range 100 {
		app = appendOf(id, app.Count, app.Bytes, 1, 1000)
		commitAll(t, a, app)
	}
	soon(t, "all is applied", func() bool { return b.Health().Applied == a.Health().Applied })
	if st := b.Stats(); st.FeedBytes > 12_000 || st.FeedLost < 80 {
		t.Errorf("stats %+v", st)
	}
	g.open()
	if err := b.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gaps != 1 || events == 0 || events > 20 {
		t.Errorf("%d events and %d gaps were fed", events, gaps)
	}
	app = appendOf(id, app.Count, app.Bytes, 1, 1000)
	commitAll(t, a, app)
	if err := b.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gaps != 1 {
		t.Errorf("%d gaps when there was room again", gaps)
	}
}

// TestShared_OneBarrierForAll: those that wait share entries, and a commit carries them.
func TestShared_OneBarrierForAll(t *testing.T) {
	s := replaytest.NewServer(1)
	a := fed(openShared(t, s, replaytest.NewStore(), options(t)))
	defer a.Close()
	resume := s.Pause()
	errs := make(chan error)
	const n = 200
	for i := range n {
		go func() { errs <- a.Barrier(context.Background()) }()
		if i < 2 {
			soon(t, "its entry is under way", func() bool { return a.Stats().Pending == i+1 })
		}
	}
	soon(t, "the others wait", func() bool { return replay.Waiting(a) == n-2 })
	resume()
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if e := a.Stats().Entries; e != 4 { // with the first of the log
		t.Errorf("%d barriers took %d entries, want 3", n, e-1)
	}
}

// stepped is a connection that yields an entry for each value of next.
type stepped struct {
	*replaytest.SharedLog
	next chan struct{}
}

func (s *stepped) Follow(ctx context.Context, from uint64, yield func(uint64, []byte) error) error {
	return s.SharedLog.Follow(ctx, from, func(seq uint64, entry []byte) error {
		select {
		case <-s.next:
			return yield(seq, entry)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// TestShared_BarrierIsNew: an entry that was under way before the call proves nothing.
func TestShared_BarrierIsNew(t *testing.T) {
	s := replaytest.NewServer(1)
	b := fed(openShared(t, s, replaytest.NewStore(), options(t)))
	defer b.Close()
	log := &stepped{s.Client(), make(chan struct{}, 100)}
	log.next <- struct{}{} // the first entry of the log
	a, err := replay.OpenShared(t.Context(), log, replaytest.NewStore(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fed(a)
	old := make(chan struct{}, 1)
	go func() {
		commitAll(t, a, cow.Group{Op: cow.OpCreate, Slot: cow.NewID()})
		old <- struct{}{}
	}()
	soon(t, "the old entry is in the log", func() bool { return s.Len() == 2 })
	id := cow.NewID()
	commitAll(t, b, cow.Group{Op: cow.OpCreate, Slot: id}) // and is acknowledged
	done := make(chan struct{}, 1)
	go func() {
		if err := a.Barrier(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := loadCount(a, id, 0); err != nil {
			t.Errorf("behind a barrier: %v", err)
		}
		done <- struct{}{}
	}()
	soon(t, "the barrier's entry is in the log", func() bool { return s.Len() == 4 })
	log.next <- struct{}{}
	<-old
	never(t, "a barrier ended with an entry that was sent before it", done)
	log.next <- struct{}{}
	never(t, "a barrier ended before its entry", done)
	log.next <- struct{}{}
	<-done
}
