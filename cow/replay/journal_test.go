package replay_test

import (
	"log/slog"
	"testing"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

var quiet = slog.New(slog.DiscardHandler)

// options are those of tests: a failure must not end them silently.
func options(t testing.TB) replay.Options {
	return replay.Options{Logger: quiet, Fatal: func(err error) { panic(err) }}
}

func mustOpen(t testing.TB, log replay.Log, store replay.Store, opts replay.Options) *replay.Journal {
	t.Helper()
	j, err := replay.Open(log, store, opts)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// openWith opens journals in memory. backlog bounds what waits for the store.
func openWith(backlog int64) journaltest.Open {
	return func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		log, store := replaytest.NewLog(0), replaytest.NewStore()
		opts := options(t)
		opts.Backlog = backlog
		j := mustOpen(t, log, store, opts)
		t.Cleanup(func() { j.Close() })
		return j, j, func() (cow.Journal, cow.Records) {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if log.Len() != 0 {
				t.Fatalf("a clean stop left %d entries in the log", log.Len())
			}
			log, store = log.Reopen(), store.Reopen()
			j = mustOpen(t, log, store, opts)
			return j, j
		}
	}
}

// The suite runs on a journal that keeps all in the backlog for half a second, and on
// one that has each entry in the store soon.
func TestJournal(t *testing.T) {
	for name, backlog := range map[string]int64{"backlog": 0, "store": 4096} {
		t.Run(name, func(t *testing.T) { journaltest.Run(t, openWith(backlog)) })
	}
}
