package journaltest_test

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

var seedFlag = flag.Uint64("seed", 0, "run the histories of this seed alone")

// seeds are some that are always run, and a new one.
func seeds(n int) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	if testing.Short() {
		n = 1
	}
	list := []uint64{rand.Uint64()}
	for i := range uint64(n) {
		list = append(list, i+1)
	}
	return list
}

func openMemory(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
	m := journaltest.NewMemory()
	t.Cleanup(func() { m.Close() })
	return m, m, func() (cow.Journal, cow.Records) {
		m = m.Reopen()
		return m, m
	}
}

// openPebble opens the embedded store in a folder of fs.
func openPebble(t testing.TB, dir string, fs vfs.FS) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
	t.Helper()
	opts := engine.Options{
		FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20, SegmentBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler),
		Fatal: func(err error) { panic(err) },
	}
	open := func() *engine.Journal {
		l, err := engine.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	t.Cleanup(func() { l.Close() })
	return l, l, func() (cow.Journal, cow.Records) {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open()
		return l, l
	}
}

func openMem(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
	return openPebble(t, "data", vfs.NewMem())
}

func openDisk(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
	return openPebble(t, t.TempDir(), nil)
}

// openReplay opens a journal over a log and a store in memory. Nearly every entry is in
// the store soon.
func openReplay(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
	log, store := replaytest.NewLog(0), replaytest.NewStore()
	open := func() *replay.Journal {
		j, err := replay.Open(log, store, replay.Options{
			Backlog: 64 << 10, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { panic(err) },
		})
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

var journals = []struct {
	name string
	open journaltest.Open
}{{"memory", openMemory}, {"replay", openReplay}, {"pebble in memory", openMem}, {"pebble on disk", openDisk}}

// One script, three journals, one transcript.
func TestHistory_SameOnEveryJournal(t *testing.T) {
	for _, seed := range seeds(5) {
		t.Logf("seed %d", seed)
		var first string
		for i, j := range journals {
			got := journaltest.History(t, j.open, seed, 300)
			if i == 0 {
				first = got
				continue
			}
			if got != first {
				a, b := difference(first, got)
				t.Fatalf("seed %d: on %s the history differs from %s:\n%s\n%s\nreplay: %s", seed, j.name, journals[0].name, b, a, journaltest.Replay(seed))
			}
		}
	}
}

func difference(a, b string) (lineA, lineB string) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return as[i], bs[i]
		}
	}
	return "end", "end"
}

// A seed is a script: run again it must give the same, or no failure could be
// replayed.
func TestHistory_SeedDecides(t *testing.T) {
	a, b := journaltest.History(t, openMemory, 77, 200), journaltest.History(t, openMemory, 77, 200)
	if a != b {
		t.Fatal("one seed gave two histories")
	}
	if c := journaltest.History(t, openMemory, 78, 200); c == a {
		t.Fatal("two seeds gave one history")
	}
}

func TestHistory_AtOnce(t *testing.T) {
	for _, j := range journals {
		t.Run(j.name, func(t *testing.T) {
			steps := 900
			if testing.Short() || j.name == "pebble on disk" {
				steps = 300
			}
			for _, seed := range seeds(2) {
				t.Logf("seed %d", seed)
				journaltest.HistoryAtOnce(t, j.open, seed, steps)
			}
		})
	}
}
