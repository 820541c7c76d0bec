package replay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/event"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// unapplied makes a log whose entries are in no store, and what they say.
func unapplied(t testing.TB, entries int) (*replaytest.Log, *replaytest.Store, dump) {
	t.Helper()
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	g := newGate()
	store.Before = g.at(replaytest.Apply)
	g.close()
	j := mustOpen(t, log, store, options(t))
	for _, s := range script(5, entries) {
		s(t, j)
	}
	d := dumpOf(t, j)
	d.totals.PairOpens = 0
	return log.Reopen(), store.Crash(0), d
}

// TestOpen_Replays: a start brings all of the log into the store, says how far it is,
// and what it replayed stays replayed.
func TestOpen_Replays(t *testing.T) {
	log, store, want := unapplied(t, 3000)
	entries := uint64(log.Len())
	var progress []uint64
	opts := options(t)
	opts.Backlog = 64 << 10
	opts.Progress = func(done, all uint64) {
		if all != entries {
			t.Errorf("progress speaks of %d entries, the log has %d", all, entries)
		}
		progress = append(progress, done)
	}
	applies := 0
	store.After = func(c replaytest.Call) error {
		if c == replaytest.Apply {
			applies++
		}
		return nil
	}
	j := mustOpen(t, log, store, opts)
	if got := durableDump(t, j); got != want {
		t.Errorf("a replay gives\n%+v\nwant\n%+v", got, want)
	}
	s := j.Stats()
	if s.Applied != entries || s.Last != entries || s.Replayed != entries || s.BacklogBytes != 0 || s.BacklogEntries != 0 {
		t.Errorf("stats %+v", s)
	}
	if applies < 5 || applies > 200 {
		t.Errorf("%d entries became %d batches", entries, applies)
	}
	if len(progress) < 2 || progress[len(progress)-1] != entries {
		t.Errorf("progress %v", progress)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = mustOpen(t, log.Reopen(), store.Reopen(), options(t))
	defer j.Close()
	if got := durableDump(t, j); got != want || j.Stats().Replayed != 0 {
		t.Errorf("the start after that replays %d entries and gives\n%+v\nwant\n%+v", j.Stats().Replayed, got, want)
	}
}

// TestOpen_Base: a log may begin anywhere, as behind a store that comes from elsewhere.
func TestOpen_Base(t *testing.T) {
	const base = 5 << 28
	store := replaytest.NewStore()
	if err := store.Apply(&replay.Batch{Seq: base}); err != nil {
		t.Fatal(err)
	}
	log := replaytest.NewLog(base)
	j := mustOpen(t, log, store, options(t))
	v, err := j.Put("k", nil, 0, cow.Totals{})
	if want := uint64(base+1)<<12 | 1; err != nil || v != want {
		t.Errorf("version %d, %v; want %d", v, err, want)
	}
	if err := j.Close(); err != nil || log.Last() != base+1 {
		t.Fatalf("last entry %d, %v", log.Last(), err)
	}
}

// TestOpen_Damage: a log that can't be replayed stops the start, and says where.
func TestOpen_Damage(t *testing.T) {
	const entries = 20
	for name, test := range map[string]struct {
		change func(*replaytest.Log, *replaytest.Store)
		want   string
	}{
		"checksum": {func(l *replaytest.Log, _ *replaytest.Store) { l.Change(7, []byte(strings.Repeat("x", 100))) }, "entry 7 of the log"},
		"short":    {func(l *replaytest.Log, _ *replaytest.Store) { l.Change(7, []byte("x")) }, "entry 7 of the log"},
		"other number": {func(l *replaytest.Log, _ *replaytest.Store) {
			l.Read(9, func(seq uint64, entry []byte) error {
				if seq == 9 {
					l.Change(7, append([]byte(nil), entry...))
				}
				return nil
			})
		}, "is missing"},
		"store is ahead": {func(l *replaytest.Log, s *replaytest.Store) {
			if err := s.Apply(&replay.Batch{Seq: entries + 1}); err != nil {
				t.Fatal(err)
			}
		}, "the log ends with entry"},
		"trimmed too far": {func(l *replaytest.Log, s *replaytest.Store) { l.Trim(3) }, "trimmed"},
		"head of a slot": {func(_ *replaytest.Log, s *replaytest.Store) {
			large := event.Event{JSON: make([]byte, cow.MaxSlotBytes+1)}
			err := s.Apply(&replay.Batch{Seq: 1, Groups: []replay.Group{
				{Op: cow.OpCreate}, {Op: cow.OpAppend, Count: 1, Bytes: cow.MaxSlotBytes + 1, Events: []event.Event{large}},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}, "the store says that slot"},
	} {
		t.Run(name, func(t *testing.T) {
			log, store, _ := unapplied(t, entries)
			test.change(log, store)
			_, err := replay.Open(log, store, options(t))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open: %v, want an error that says %q", err, test.want)
			}
			_, err = replay.OpenReader(log.Reopen(), store.Crash(1000), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("OpenReader: %v, want an error that says %q", err, test.want)
			}
		})
	}
}

// short is a log that gives less than it says.
type short struct{ *replaytest.Log }

func (s short) Read(from uint64, yield func(uint64, []byte) error) error {
	stop := errors.New("")
	n := 0
	err := s.Log.Read(from, func(seq uint64, entry []byte) error {
		if n++; n > 3 {
			return stop
		}
		return yield(seq, entry)
	})
	if err == stop {
		return nil
	}
	return err
}

func TestOpen_ShortLog(t *testing.T) {
	log, store, _ := unapplied(t, 10)
	if _, err := replay.Open(short{log}, store, options(t)); !errors.Is(err, replay.ErrCorrupt) {
		t.Errorf("Open: %v, want ErrCorrupt", err)
	}
}

// TestOpen_StoreFails: a store that does not take the replay stops the start.
func TestOpen_StoreFails(t *testing.T) {
	for _, call := range []replaytest.Call{replaytest.Apply, replaytest.Trim} {
		log, store, want := unapplied(t, 50)
		store.FlushEvery = 1
		f := replaytest.Faults{Before: func(c replaytest.Call) error {
			if c == call {
				return replaytest.ErrInjected
			}
			return nil
		}}
		log.Faults, store.Faults = f, f
		if _, err := replay.Open(log, store, options(t)); !errors.Is(err, replaytest.ErrInjected) {
			t.Errorf("Open: %v, want the error of %s", err, call)
		}
		j := mustOpen(t, log.Reopen(), store.Crash(0), options(t))
		if got := durableDump(t, j); got != want {
			t.Errorf("the next start gives\n%+v\nwant\n%+v", got, want)
		}
		j.Close()
	}
}

// TestReader: it gives what the journal would, and changes nothing.
func TestReader(t *testing.T) {
	log, store, want := unapplied(t, 500)
	hook := func(c replaytest.Call) error { return fmt.Errorf("BUG: a reader calls %s", c) }
	log.Before, store.Before = hook, hook
	entries := log.Len()
	calls := 0
	r, err := replay.OpenReader(log, store, func(done, all uint64) { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	if got := durableDump(t, r); got != want {
		t.Errorf("the reader gives\n%+v\nwant\n%+v", got, want)
	}
	if s := r.Stats(); s.Last != uint64(entries) || s.Applied != 0 || s.BacklogEntries != entries || calls == 0 {
		t.Errorf("stats %+v, progress was told %d times", s, calls)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if log.Len() != entries || store.Durable() != 0 {
		t.Error("the reader changed something")
	}
}

// TestClose_FlushFails: a store that can't flush at the end keeps the log.
func TestClose_FlushFails(t *testing.T) {
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	store.Before = func(c replaytest.Call) error {
		if c == replaytest.Flush {
			return replaytest.ErrInjected
		}
		return nil
	}
	j := mustOpen(t, log, store, options(t))
	for _, s := range script(6, 30) {
		s(t, j)
	}
	want := durableDump(t, j)
	if err := j.Close(); !errors.Is(err, replaytest.ErrInjected) {
		t.Errorf("Close: %v, want the error of the flush", err)
	}
	j = mustOpen(t, log.Reopen(), store.Crash(0), options(t))
	defer j.Close()
	if got := durableDump(t, j); got != want {
		t.Errorf("the next start gives\n%+v\nwant\n%+v", got, want)
	}
}
