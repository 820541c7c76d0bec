package replay_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// disk counts the calls of a log and a store that change something. At one of them the
// power goes: it is done or not, and all later ones fail.
type disk struct {
	mu    sync.Mutex
	calls int
	at    int  // the call where the power goes, from 1 on; 0 for never
	done  bool // that call does its work
}

var errPower = errors.New("the power is gone")

func (d *disk) faults() replaytest.Faults {
	return replaytest.Faults{
		Before: func(replaytest.Call) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.calls++
			if d.at != 0 && (d.calls > d.at || d.calls == d.at && !d.done) {
				return errPower
			}
			return nil
		},
		After: func(replaytest.Call) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.at != 0 && d.calls >= d.at {
				return errPower
			}
			return nil
		},
	}
}

// step is one act of a script. A step is one entry at most.
type step func(t testing.TB, j *replay.Journal)

// script makes the steps of a seed. They do the same on each journal that has done the
// steps before.
func script(seed uint64, n int) (steps []step) {
	rng := rand.New(rand.NewPCG(seed, 1))
	type slot struct {
		id           cow.ID
		count, bytes uint64
	}
	var slots []*slot
	create := func() step {
		s := &slot{}
		for i := range s.id {
			s.id[i] = byte(rng.Uint32())
		}
		slots = append(slots, s)
		app := appendOf(s.id, 0, 0, 2, 80)
		s.count, s.bytes = app.Count, app.Bytes
		return func(t testing.TB, j *replay.Journal) {
			commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: s.id, Token: cow.HashToken(s.id[:])}, app)
		}
	}
	steps = append(steps, create(), create())
	for len(steps) < n {
		key := fmt.Sprint("k/", rng.IntN(6))
		switch k := rng.IntN(20); {
		case k < 2:
			steps = append(steps, create())
		case k < 3 && len(slots) > 2:
			i := rng.IntN(len(slots))
			s := *slots[i]
			slots = append(slots[:i], slots[i+1:]...)
			steps = append(steps, func(t testing.TB, j *replay.Journal) {
				commitAll(t, j, cow.Group{Op: cow.OpRemove, Slot: s.id, Version: s.count})
			})
		case k < 12:
			var groups []cow.Group
			for _, i := range rng.Perm(len(slots))[:1+rng.IntN(min(3, len(slots)))] {
				s := slots[i]
				app := appendOf(s.id, s.count, s.bytes, 1+rng.IntN(4), 60+rng.IntN(400))
				s.count, s.bytes = app.Count, app.Bytes
				groups = append(groups, app, cow.Group{Op: cow.OpTouch, Slot: s.id, PulledAt: rng.Int64N(1000)})
			}
			steps = append(steps, func(t testing.TB, j *replay.Journal) {
				commitAll(t, j, append([]cow.Group(nil), groups...)...)
			})
		case k < 18:
			value := fmt.Append(nil, rng.Uint64())
			steps = append(steps, func(t testing.TB, j *replay.Journal) {
				_, version, _ := j.Value(key)
				if _, err := j.Put(key, value, version, cow.Totals{HandleClaims: 1}); err != nil {
					t.Errorf("put: %v", err)
				}
			})
		case k < 19:
			steps = append(steps, func(t testing.TB, j *replay.Journal) {
				if _, version, err := j.Value(key); err == nil {
					if err := j.Delete(key, version); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
			})
		default:
			steps = append(steps, func(t testing.TB, j *replay.Journal) { j.Count(cow.Totals{PairOpens: 1}) })
		}
	}
	return steps
}

// durableDump is a dump without what a crash may lose by contract.
func durableDump(t testing.TB, j reader) dump {
	t.Helper()
	d := dumpOf(t, j)
	d.totals.PairOpens = 0
	return d
}

// TestJournal_I3_CrashAtEveryCall lets the power go at each call that changes the log or
// the store, before and behind its work, with any number of the store's batches left.
// The next start has each step that was acknowledged, and of the one under way all or
// nothing; the rest of the script then goes on to the same end.
func TestJournal_I3_CrashAtEveryCall(t *testing.T) {
	const seed = 3
	length := 60
	if testing.Short() {
		length = 25
	}
	opts := options(t)
	opts.Backlog = 4096
	// What the journal is like behind each step.
	var want []dump
	j := mustOpen(t, replaytest.NewLog(0), replaytest.NewStore(), opts)
	want = append(want, durableDump(t, j))
	for _, s := range script(seed, length) {
		s(t, j)
		want = append(want, durableDump(t, j))
	}
	j.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	crashes := 0
	for at := 1; ; at++ {
		ended := false
		for _, done := range []bool{false, true} {
			log, store := replaytest.NewLog(0), replaytest.NewStore()
			store.FlushEvery = 3
			acked, whole := runUntilCrash(t, log, store, &disk{at: at, done: done}, script(seed, length), 0)
			if whole {
				ended = true
				continue
			}
			crashes++
			// The next start has a crash of its own, in its replay or later.
			for again := range 4 {
				log, store := log.Reopen(), store.Crash(rng.IntN(6))
				acked := acked
				if again > 0 {
					d := &disk{at: 1 + rng.IntN(8), done: again%2 == 0}
					more, _ := runUntilCrash(t, log, store, d, script(seed, length), stepsDone(t, log, store, want, acked))
					acked = max(acked, more)
					log, store = log.Reopen(), store.Crash(rng.IntN(6))
				}
				j := mustOpen(t, log, store, opts)
				got := durableDump(t, j)
				from := acked
				if got != want[from] {
					if from++; from >= len(want) || got != want[from] {
						t.Fatalf("power gone at call %d (done %v, again %d) behind %d steps:\n%+v\nwant\n%+v\nor the next", at, done, again, acked, got, want[acked])
					}
				}
				for i, s := range script(seed, length) {
					if i >= from {
						s(t, j)
					}
				}
				if got := durableDump(t, j); got != want[length] {
					t.Fatalf("power gone at call %d (done %v): the script ends with\n%+v\nwant\n%+v", at, done, got, want[length])
				}
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				if log.Len() != 0 {
					t.Fatalf("a clean stop left %d entries", log.Len())
				}
			}
		}
		if ended {
			break
		}
	}
	if crashes < 2*length {
		t.Errorf("only %d crashes", crashes)
	}
}

// stepsDone is how many steps a log and a store hold: acked, or one more. It reads them
// without a change.
func stepsDone(t testing.TB, log *replaytest.Log, store *replaytest.Store, want []dump, acked int) int {
	t.Helper()
	r, err := replay.OpenReader(log.Reopen(), store.Crash(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	switch got := durableDump(t, r); {
	case got == want[acked]:
		return acked
	case acked+1 < len(want) && got == want[acked+1]:
		return acked + 1
	default:
		t.Fatalf("a reader behind %d steps gives\n%+v\nwant\n%+v", acked, got, want[acked])
		return 0
	}
}

// runUntilCrash runs a script from a step on, until the power goes. It returns how many
// steps were acknowledged, and whether all were and the journal was closed.
func runUntilCrash(t testing.TB, log *replaytest.Log, store *replaytest.Store, d *disk, steps []step, from int) (acked int, whole bool) {
	log.Faults, store.Faults = d.faults(), d.faults()
	fatal := make(chan error, 10)
	opts := options(t)
	opts.Backlog = 4096
	opts.Fatal = func(err error) { fatal <- err }
	j, err := replay.Open(log, store, opts)
	if err != nil {
		if !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		return from, false
	}
	acks := make(chan int, len(steps)+1)
	closed := make(chan error, 1)
	go func() { // hangs for ever when the power has gone
		for i, s := range steps {
			if i >= from {
				s(t, j)
				acks <- i + 1
			}
		}
		closed <- j.Close()
	}()
	acked = from
	for {
		select {
		case acked = <-acks:
			continue
		case err := <-fatal:
			if !errors.Is(err, errPower) {
				t.Fatal(err)
			}
		case err := <-closed:
			for len(acks) > 0 {
				acked = <-acks
			}
			if err != nil && !errors.Is(err, errPower) {
				t.Fatal(err)
			}
			return acked, err == nil
		}
		for { // the step under way may still be acknowledged
			select {
			case acked = <-acks:
				continue
			case <-time.After(2 * time.Millisecond):
			}
			for len(acks) > 0 { // both may have been ready
				acked = <-acks
			}
			return acked, false
		}
	}
}

// TestJournal_I3_CrashOfManyWriters runs writers at once, lets the power go at a random call, and
// holds the next start against what each writer was told: all of it is there, and in
// order.
func TestJournal_I3_CrashOfManyWriters(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(uint64(round), 9))
		log, store := replaytest.NewLog(0), replaytest.NewStore()
		store.FlushEvery = 2
		d := &disk{at: 3 + rng.IntN(120), done: round%2 == 0}
		log.Faults, store.Faults = d.faults(), d.faults()
		fatal := make(chan error, 100)
		opts := options(t)
		opts.Backlog = 8192
		opts.Fatal = func(err error) { fatal <- err }
		j := mustOpen(t, log, store, opts)
		const writers = 6
		var mu sync.Mutex
		told := make([]uint64, writers) // the newest value that each knows to be stored
		events := uint64(0)
		for w := range writers {
			go func() {
				var version uint64
				for n := uint64(1); ; n++ {
					var err error
					if version, err = j.Put(fmt.Sprint("w/", w), fmt.Append(nil, n), version, cow.Totals{HandleClaims: 1}); err != nil {
						t.Errorf("put: %v", err)
						return
					}
					mu.Lock()
					told[w] = n
					mu.Unlock()
				}
			}()
		}
		id := cow.NewID()
		go func() {
			commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id})
			var count, bytes uint64
			for {
				g := appendOf(id, count, bytes, 3, 100)
				commitAll(t, j, g)
				count, bytes = g.Count, g.Bytes
				mu.Lock()
				events = count
				mu.Unlock()
			}
		}()
		<-fatal
		time.Sleep(2 * time.Millisecond)
		// Whatever is told behind this line may be missing in what is opened.
		mu.Lock()
		wantTold, wantEvents := append([]uint64(nil), told...), events
		mu.Unlock()
		again := mustOpen(t, log.Reopen(), store.Crash(rng.IntN(5)), options(t))
		var sum uint64
		for w, n := range wantTold {
			value, _, err := again.Value(fmt.Sprint("w/", w))
			if err != nil && (n > 0 || err != cow.ErrNoRecord) {
				t.Fatalf("round %d: %v", round, err)
			}
			var got uint64
			fmt.Sscan(string(value), &got)
			if got != n && got != n+1 {
				t.Errorf("round %d: writer %d was told %d, the next start has %d", round, w, n, got)
			}
			sum += got
		}
		n, err := loadCount(again, id, 0)
		if err != nil && (wantEvents > 0 || err != cow.ErrNoSlot) || uint64(n) != wantEvents && uint64(n) != wantEvents+3 {
			t.Errorf("round %d: %d events, %v; %d were acknowledged", round, n, err, wantEvents)
		}
		if got := again.Totals(); got.HandleClaims != sum || got.EventsPosted != uint64(n) {
			t.Errorf("round %d: totals %+v, want %d claims and %d events", round, got, sum, n)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
