package proc

import (
	"testing"
	"time"
)

func TestParseProcStat(t *testing.T) {
	got, err := parseProcStat([]byte("42 (a) b (c)) S 1 42 42 0 -1 4194560 9 8 7 6 150 50 1 2 20 0 3 0 99"))
	if err != nil || got != 2*time.Second {
		t.Errorf("parseProcStat = %v, %v, want 2s", got, err)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1 2", "42 (a) S 1 42 42 0 -1 4194560 9 8 7 6 x 50 1"} {
		if _, err := parseProcStat([]byte(bad)); err == nil {
			t.Errorf("parseProcStat(%q) gave no error", bad)
		}
	}
	if got, err := parseMachineStat([]byte("cpu  100 10 40 9999 9999 5 5 40 77 0\ncpu0 1\n")); err != nil || got != 2*time.Second {
		t.Errorf("parseMachineStat = %v, %v, want 2s", got, err)
	}
	if _, err := parseMachineStat([]byte("intr 1")); err == nil {
		t.Error("parseMachineStat of another line gave no error")
	}
}
