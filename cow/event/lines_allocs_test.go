// Under the race detector sync.Pool drops what is put at random.

//go:build !race

package event

import "testing"

func TestAcceptLines_Allocs(t *testing.T) {
	body := linesBody(1000, 400)
	dst, events := make([]byte, 0, MaxLinesBytes), make([]Event, 0, MaxLines)
	if got := testing.AllocsPerRun(20, func() {
		if _, _, err := AcceptLines(dst, body, events); err != nil {
			t.Fatal(err)
		}
	}); got > 0 {
		t.Errorf("%v allocations for 1,000 events, and room was there", got)
	}
	if got := testing.AllocsPerRun(20, func() {
		if _, _, err := AcceptLines(nil, body, nil); err != nil {
			t.Fatal(err)
		}
	}); got > 2 {
		t.Errorf("%v allocations for 1,000 events without room, want those of dst and events", got)
	}
}
