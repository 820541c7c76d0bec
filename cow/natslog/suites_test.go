package natslog_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/natslog"
	"cowrelay/cow/natslog/natstest"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

// quiet are options of a journal whose failure fails the test.
func quiet(t testing.TB) replay.Options {
	return replay.Options{
		Logger:   slog.New(slog.DiscardHandler),
		Fatal:    func(err error) { panic(fmt.Sprintf("%s: a journal failed: %v", t.Name(), err)) },
		Patience: time.Minute,
		Format:   byte(replay.Reads()), // all relays of these suites are new
	}
}

// connect opens a log that the journal closes.
func connect(t testing.TB, o natslog.Options) *natslog.Log {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	l, err := natslog.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// journals opens journals on the servers, each with a log and a store of its own.
func journals(o natslog.Options, ready func(*replay.SharedJournal)) journaltest.Open {
	return func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		o := o
		o.Stream = newStream()
		store := replaytest.NewStore()
		open := func() *replay.SharedJournal {
			j, err := replay.OpenShared(context.Background(), connect(t, o), store, quiet(t))
			if err != nil {
				t.Fatal(err)
			}
			ready(j)
			return j
		}
		j := open()
		t.Cleanup(func() { j.Close() })
		return j, j, func() (cow.Journal, cow.Records) {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			store = store.Reopen()
			j = open()
			return j, j
		}
	}
}

// The suite that every journal passes, on real servers.
func TestJournal(t *testing.T) {
	t.Parallel()
	all := places(t)
	if testing.Short() {
		all = all[:1]
	}
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			journaltest.Run(t, journals(p.o, func(j *replay.SharedJournal) { j.Feed(func(*cow.Append) {}) }))
		})
	}
}

// alone opens journals of one machine, in memory.
func alone(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	open := func() *replay.Journal {
		j, err := replay.Open(log, store, quiet(t))
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	t.Cleanup(func() { j.Close() })
	return j, j, func() (cow.Journal, cow.Records) {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		log, store = log.Reopen(), store.Reopen()
		j = open()
		return j, j
	}
}

// Unchanged package cow does on real servers what it does on one machine.
func TestJournal_History(t *testing.T) {
	t.Parallel()
	for seed, p := range places(t) {
		t.Run(p.name, func(t *testing.T) {
			open := journals(p.o, func(*replay.SharedJournal) {})
			seed := uint64(seed)
			got := journaltest.History(t, open, seed, 150)
			if want := journaltest.History(t, alone, seed, 150); got != want {
				t.Errorf("the transcripts differ; replay it with: %s", journaltest.Replay(seed))
			}
			journaltest.HistoryAtOnce(t, open, seed, 60)
		})
	}
}

// A fleet on real servers: in the end all relays have the same.
func TestJournal_Fleet(t *testing.T) {
	t.Parallel()
	for seed, p := range places(t) {
		t.Run(p.name, func(t *testing.T) {
			p.o.Stream = newStream()
			replaytest.RunFleet(t, replaytest.Fleet{
				Relays: 3, Steps: 80, Seed: uint64(seed), Restarts: true,
				Connect: func(t testing.TB) replay.SharedLog { return connect(t, p.o) },
				Options: replay.Options{Patience: time.Hour, Format: byte(replay.Reads())},
			})
		})
	}
}

// The same while servers die, pause and are cut off, and their leaders move.
func TestJournal_FleetUnderFaults(t *testing.T) {
	t.Parallel()
	c := natstest.Three(t, natstest.Config{})
	o := natslog.Options{URLs: c.URLs(), TrustSync: true}
	ctx := context.Background()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			s := c.Servers[i%3]
			var err error
			switch i % 5 {
			case 0:
				err = s.Kill()
			case 1:
				err = s.Pause()
			case 2:
				c.Isolate(i % 3)
			case 3:
				s.Front.Cut()
			case 4:
				s.Front.Blackhole()
			}
			if err != nil {
				t.Error(err)
			}
			select {
			case <-time.After(700 * time.Millisecond):
			case <-stop:
			}
			if err := c.Heal(ctx); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	replaytest.RunFleet(t, replaytest.Fleet{
		Relays: 3, Steps: 60, Seed: 3, Restarts: true,
		Connect: func(t testing.TB) replay.SharedLog { return connect(t, o) },
		Options: replay.Options{Patience: time.Hour, Format: byte(replay.Reads())},
		Quiet: func() {
			close(stop)
			<-stopped
		},
	})
}
