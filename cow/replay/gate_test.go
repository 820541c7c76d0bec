package replay_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// TestJournal_I4_NothingBeforeTheLogHasIt: while the log takes an entry, and also when
// it has taken it and not returned, readers and watchers see nothing of it and wait for
// nothing.
func TestJournal_I4_NothingBeforeTheLogHasIt(t *testing.T) {
	for _, after := range []bool{false, true} {
		g := newGate()
		log := replaytest.NewLog(0)
		if after {
			log.After = g.at(replaytest.Append)
		} else {
			log.Before = g.at(replaytest.Append)
		}
		j := mustOpen(t, log, replaytest.NewStore(), options(t))
		old, fresh, gone := cow.NewID(), cow.NewID(), cow.NewID()
		app := appendOf(old, 0, 0, 5, 100)
		commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: old}, cow.Group{Op: cow.OpCreate, Slot: gone}, app)
		v1, err := j.Put("r/a", []byte("one"), 0, cow.Totals{})
		if err != nil {
			t.Fatal(err)
		}
		var told atomic.Int32
		j.Watch("r/", func(string, []byte, uint64) { told.Add(1) })
		before := dumpOf(t, j)
		g.close()
		var wg sync.WaitGroup
		done := make(chan struct{}, 3)
		wg.Go(func() {
			commitAll(t, j, appendOf(old, app.Count, app.Bytes, 2, 100), cow.Group{Op: cow.OpCreate, Slot: fresh},
				appendOf(fresh, 0, 0, 1, 100), cow.Group{Op: cow.OpRemove, Slot: gone}, cow.Group{Op: cow.OpTouch, Slot: old, PulledAt: 9})
			done <- struct{}{}
		})
		<-g.enter
		for _, key := range []string{"r/a", "r/b"} {
			wg.Go(func() {
				expected := v1
				if key == "r/b" {
					expected = 0
				}
				if _, err := j.Put(key, []byte("two"), expected, cow.Totals{HandleClaims: 1}); err != nil {
					t.Errorf("put of %q: %v", key, err)
				}
				done <- struct{}{}
			})
		}
		never(t, "something was acknowledged before the log had it", done)
		if got := dumpOf(t, j); got != before || told.Load() != 0 {
			t.Errorf("readers see, and %d watchers were told\n%+v\nbefore the log has it, want\n%+v", told.Load(), got, before)
		}
		if _, err := loadCount(j, fresh, 0); err != cow.ErrNoSlot {
			t.Errorf("load of a slot that is being made: %v, want ErrNoSlot", err)
		}
		g.open()
		wg.Wait()
		for id, want := range map[cow.ID]int{old: 7, fresh: 1} {
			if n, err := loadCount(j, id, 0); n != want || err != nil {
				t.Errorf("load behind the commit: %d events, %v; want %d", n, err, want)
			}
		}
		if _, err := loadCount(j, gone, 0); err != cow.ErrNoSlot {
			t.Errorf("load of a removed slot: %v, want ErrNoSlot", err)
		}
		if told.Load() != 2 {
			t.Errorf("the watcher was told %d times, want 2", told.Load())
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournal_RecordsShareEntries: what waits while an entry is written goes into the
// next one together, groups and records alike.
func TestJournal_RecordsShareEntries(t *testing.T) {
	const puts = 50
	g := newGate()
	log := replaytest.NewLog(0)
	log.Before = g.at(replaytest.Append)
	j := mustOpen(t, log, replaytest.NewStore(), options(t))
	defer j.Close()
	g.close()
	var wg sync.WaitGroup
	put := func(key string) {
		wg.Go(func() {
			if _, err := j.Put(key, []byte("x"), 0, cow.Totals{HandleClaims: 1}); err != nil {
				t.Errorf("put of %q: %v", key, err)
			}
		})
	}
	put("first")
	<-g.enter
	for i := range puts {
		put(fmt.Sprint("k", i))
	}
	soon(t, "the puts wait", func() bool { return replay.Queued(j) == puts })
	id := cow.NewID()
	wg.Go(func() { commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}) })
	soon(t, "the commit waits", func() bool { return replay.Committing(j) })
	g.open()
	wg.Wait()
	if n := j.Stats().Entries; n != 2 {
		t.Errorf("%d entries were written, want 2", n)
	}
	if got := j.Totals(); got != (cow.Totals{SlotAllocations: 1, HandleClaims: puts + 1}) {
		t.Errorf("totals %+v", got)
	}
}

// TestJournal_OneKeyInOneEntry: of puts of one key that go into one entry, one wins.
func TestJournal_OneKeyInOneEntry(t *testing.T) {
	const puts = 20
	g := newGate()
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	log.Before = g.at(replaytest.Append)
	j := mustOpen(t, log, store, options(t))
	g.close()
	var wg sync.WaitGroup
	var won atomic.Int32
	wg.Go(func() { j.Put("other", nil, 0, cow.Totals{}) })
	<-g.enter
	for range puts {
		wg.Go(func() {
			switch _, err := j.Put("k", []byte("x"), 0, cow.Totals{HandleClaims: 1}); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, cow.ErrConflict):
				t.Errorf("put: %v", err)
			}
		})
	}
	soon(t, "the puts wait", func() bool { return replay.Queued(j) == puts })
	g.open()
	wg.Wait()
	if won.Load() != 1 || j.Totals().HandleClaims != 1 || j.Stats().Entries != 2 {
		t.Errorf("%d puts won, totals %+v, %d entries; want one, and two entries", won.Load(), j.Totals(), j.Stats().Entries)
	}
	before := dumpOf(t, j)
	again := mustOpen(t, log.Reopen(), store.Crash(0), options(t)) // nothing applied
	if got := dumpOf(t, again); got != before {
		t.Errorf("a replay gives\n%+v\nwant\n%+v", got, before)
	}
	j.Close()
	again.Close()
}

// TestJournal_BacklogBound: while the store hangs, commits go on until the backlog is
// full, then wait, and what was stored can be read meanwhile.
func TestJournal_BacklogBound(t *testing.T) {
	const limit = 64 << 10
	g := newGate()
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	store.Before = g.at(replaytest.Apply)
	opts := options(t)
	opts.Backlog = limit
	j := mustOpen(t, log, store, opts)
	g.close()
	id := cow.NewID()
	commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id})
	var stored atomic.Uint64
	done := make(chan struct{}, 1)
	const events = 400
	go func() {
		var count, bytes uint64
		for range events {
			g := appendOf(id, count, bytes, 1, 1000)
			commitAll(t, j, g)
			count, bytes = g.Count, g.Bytes
			stored.Store(count)
		}
		done <- struct{}{}
	}()
	soon(t, "a commit waits", func() bool { return j.Stats().Waits > 0 })
	never(t, "commits don't wait for the store", done)
	if s := j.Stats(); s.BacklogBytes < limit || s.BacklogBytes > limit+4000 || s.BacklogEntries != int(s.Last) || s.Applied != 0 {
		t.Errorf("stats %+v", s)
	}
	n := stored.Load()
	for _, from := range []uint64{0, 1, n / 2, n - 1, n, n + 1} {
		if got, err := loadCount(j, id, from); err != nil || got != int(n-min(n, from)) {
			t.Errorf("load from %d: %d events, %v; want %d", from, got, err, n-min(n, from))
		}
	}
	g.open()
	<-done
	if got, err := loadCount(j, id, 0); got != events || err != nil {
		t.Errorf("%d events, %v; want %d", got, err, events)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if log.Len() != 0 || store.Durable() != events+1 {
		t.Errorf("a clean stop left %d entries in the log, the store is durable up to %d", log.Len(), store.Durable())
	}
}

// TestJournal_Fatal: when the log or the store fails, Fatal is called once and nothing
// is acknowledged any more. What was acknowledged can still be read.
func TestJournal_Fatal(t *testing.T) {
	for _, call := range []replaytest.Call{replaytest.Append, replaytest.Trim, replaytest.Apply} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(call, " after=", after), func(t *testing.T) {
				var fail atomic.Bool
				hook := func(c replaytest.Call) error {
					if c == call && fail.Load() {
						return replaytest.ErrInjected
					}
					return nil
				}
				f := replaytest.Faults{Before: hook}
				if after {
					f = replaytest.Faults{After: hook}
				}
				log, store := replaytest.NewLog(0), replaytest.NewStore()
				log.Faults, store.Faults, store.FlushEvery = f, f, 1
				fatal := make(chan error, 10)
				opts := options(t)
				opts.Backlog = 4096
				opts.Fatal = func(err error) { fatal <- err }
				j := mustOpen(t, log, store, opts)
				id := cow.NewID()
				app := appendOf(id, 0, 0, 20, 100)
				commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, app)
				soon(t, "the entry is in the store", func() bool { return j.Stats().Trimmed == 1 })
				fail.Store(true)
				acknowledged := make(chan struct{}, 2)
				go func() {
					groups := []cow.Group{appendOf(id, app.Count, app.Bytes, 20, 100)}
					j.Commit(groups)
					if call == replaytest.Append {
						acknowledged <- struct{}{}
					}
				}()
				err := <-fatal
				if !errors.Is(err, replaytest.ErrInjected) || !strings.Contains(err.Error(), "failed") {
					t.Errorf("Fatal got %v", err)
				}
				go func() {
					j.Put("k", nil, 0, cow.Totals{})
					acknowledged <- struct{}{}
				}()
				never(t, "something was acknowledged behind a failure", acknowledged)
				if len(fatal) != 0 {
					t.Errorf("Fatal was called again: %v", <-fatal)
				}
				if n, err := loadCount(j, id, 0); n < 20 || err != nil {
					t.Errorf("load behind a failure: %d events, %v", n, err)
				}
				if j.Stats().LastError == nil {
					t.Error("Stats does not say what failed")
				}
			})
		}
	}
}

// TestJournal_Refused: a group that contradicts itself is refused as a programming error,
// and does not harm the rest of its commit.
func TestJournal_Refused(t *testing.T) {
	j := mustOpen(t, replaytest.NewLog(0), replaytest.NewStore(), options(t))
	defer j.Close()
	id, other := cow.NewID(), cow.NewID()
	commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, cow.Group{Op: cow.OpCreate, Slot: other})
	good := appendOf(id, 0, 0, 3, 100)
	for i, spoil := range []func(*cow.Group){
		func(g *cow.Group) { g.Events = nil },
		func(g *cow.Group) { g.First++ },
		func(g *cow.Group) { g.Count++ },
		func(g *cow.Group) { g.Bytes++ },
		func(g *cow.Group) { g.Op = 0 },
		func(g *cow.Group) { g.Op = 99 },
		func(g *cow.Group) { *g = appendOf(id, 0, 0, 40, 1<<18) }, // longer than an entry
	} {
		bad := good
		spoil(&bad)
		groups := []cow.Group{bad, {Op: cow.OpTouch, Slot: other, PulledAt: int64(i)}}
		j.Commit(groups)
		if groups[0].Outcome != cow.Refused || groups[0].Err == nil || !strings.HasPrefix(groups[0].Err.Error(), "BUG: ") {
			t.Errorf("group %d: outcome %d, %v; want refused as a bug", i, groups[0].Outcome, groups[0].Err)
		}
		if groups[1].Outcome != cow.Stored {
			t.Errorf("the group behind group %d: outcome %d, %v", i, groups[1].Outcome, groups[1].Err)
		}
	}
	if n, err := loadCount(j, id, 0); n != 0 || err != nil {
		t.Errorf("refused groups left %d events, %v", n, err)
	}
	commitAll(t, j, good)
	if _, err := j.Put("invite/secret", make([]byte, replay.MaxEntry), 0, cow.Totals{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a record that is too long: %v", err)
	}
}

// TestJournal_LongCommits: a commit that is longer than an entry becomes more than one.
func TestJournal_LongCommits(t *testing.T) {
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	j := mustOpen(t, log, store, options(t))
	var groups []cow.Group
	var ids []cow.ID
	for range 12 {
		id := cow.NewID()
		ids = append(ids, id)
		groups = append(groups, cow.Group{Op: cow.OpCreate, Slot: id}, appendOf(id, 0, 0, 15, 100_000))
	}
	commitAll(t, j, groups...)
	if n := j.Stats().Entries; n != 3 {
		t.Errorf("%d entries for 18 MB", n)
	}
	before := dumpOf(t, j)
	again := mustOpen(t, log.Reopen(), store.Crash(0), options(t))
	if got := dumpOf(t, again); got != before || len(ids) != int(got.totals.SlotAllocations) {
		t.Error("a replay gives something else")
	}
	j.Close()
	again.Close()
}

// TestJournal_FatalWhileAppending: when the store fails while the log takes an entry,
// that entry is not acknowledged any more.
func TestJournal_FatalWhileAppending(t *testing.T) {
	applying, appending := newGate(), newGate()
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	log.After = appending.at(replaytest.Append)
	store.Before = func(c replaytest.Call) error {
		applying.pass()
		return replaytest.ErrInjected
	}
	fatal := make(chan error, 1)
	opts := options(t)
	opts.Backlog = 4096
	opts.Fatal = func(err error) { fatal <- err }
	j := mustOpen(t, log, store, opts)
	id := cow.NewID()
	app := appendOf(id, 0, 0, 20, 100)
	applying.close()
	commitAll(t, j, cow.Group{Op: cow.OpCreate, Slot: id}, app)
	<-applying.enter
	appending.close()
	acknowledged := make(chan struct{}, 1)
	go func() {
		j.Commit([]cow.Group{appendOf(id, app.Count, app.Bytes, 1, 100)})
		acknowledged <- struct{}{}
	}()
	<-appending.enter
	applying.open()
	if err := <-fatal; !errors.Is(err, replaytest.ErrInjected) {
		t.Errorf("Fatal got %v", err)
	}
	appending.open()
	never(t, "an entry was acknowledged behind a failure of the store", acknowledged)
	if n, err := loadCount(j, id, 0); n != 20 || err != nil {
		t.Errorf("load behind the failure: %d events, %v; want 20", n, err)
	}
}
