package journaltest

import (
	"testing"

	"cowrelay/cow"
)

func TestMemory_Conformance(t *testing.T) {
	Run(t, func(t testing.TB) (cow.Journal, cow.Records, func() (cow.Journal, cow.Records)) {
		m := NewMemory()
		t.Cleanup(func() { m.Close() })
		return m, m, func() (cow.Journal, cow.Records) {
			m = m.Reopen()
			return m, m
		}
	})
}
