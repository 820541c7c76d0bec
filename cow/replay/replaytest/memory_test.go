package replaytest_test

import (
	"testing"

	"cowrelay/cow/replay"
	"cowrelay/cow/replay/replaytest"
)

func TestLog(t *testing.T) {
	for _, base := range []uint64{0, 1000} {
		replaytest.RunLog(t, func(t testing.TB) (replay.Log, func() replay.Log) {
			l := replaytest.NewLog(base)
			return l, func() replay.Log {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = l.Reopen()
				return l
			}
		})
	}
}

func TestStore(t *testing.T) {
	replaytest.RunStore(t, func(t testing.TB) (replay.Store, func() replay.Store) {
		s := replaytest.NewStore()
		return s, func() replay.Store {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = s.Reopen()
			return s
		}
	})
}
