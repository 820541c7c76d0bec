package pebblelog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
)

func mustOpen(t testing.TB, dir string, opts Options) *Log {
	t.Helper()
	l, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// conformance runs the suite on a store that options opens.
func conformance(t *testing.T, options func(t testing.TB) (dir string, opts Options)) {
	journaltest.Run(t, func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		dir, opts := options(t)
		l := mustOpen(t, dir, opts)
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l, l, func() (cow.Journal, cow.Records) {
			t.Helper()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, dir, opts)
			return l, l
		}
	})
}

func TestLog_Conformance(t *testing.T) {
	for _, sync := range []Sync{Always, Interval, Off} {
		t.Run(sync.String(), func(t *testing.T) {
			t.Run("memory", func(t *testing.T) {
				conformance(t, func(testing.TB) (string, Options) {
					return "data", Options{Sync: sync, FS: vfs.NewMem()}
				})
			})
			t.Run("small", func(t *testing.T) { // batches larger than a memtable
				conformance(t, func(testing.TB) (string, Options) {
					return "data", small(Options{Sync: sync, FS: vfs.NewMem()})
				})
			})
			t.Run("disk", func(t *testing.T) {
				conformance(t, func(t testing.TB) (string, Options) {
					return t.TempDir(), Options{Sync: sync}
				})
			})
		})
	}
}
