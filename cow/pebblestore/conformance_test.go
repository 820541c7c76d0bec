package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

func TestStore_Conformance(t *testing.T) {
	for name, options := range map[string]func(testing.TB) (string, Options){
		"memory": func(testing.TB) (string, Options) { return "data", Options{FS: vfs.NewMem()} },
		"small":  func(testing.TB) (string, Options) { return "data", small(Options{FS: vfs.NewMem()}) }, // batches larger than a memtable
		"few":    func(testing.TB) (string, Options) { return "data", small(Options{FS: vfs.NewMem(), OpenFiles: 1}) },
		"disk":   func(t testing.TB) (string, Options) { return t.TempDir(), Options{} },
	} {
		if raceEnabled && name != "small" {
			continue // the plain run takes each
		}
		t.Run(name, func(t *testing.T) {
			replaytest.RunStore(t, func(t testing.TB) (replay.Store, func() replay.Store) {
				dir, opts := options(t)
				opts.Logger = quiet
				s := mustOpen(t, dir, opts)
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				return s, func() replay.Store {
					t.Helper()
					if err := s.Flush(); err != nil {
						t.Fatal(err)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, dir, opts)
					return s
				}
			})
		})
	}
}
