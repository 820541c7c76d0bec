package books

import (
	"strings"
	"testing"
)

func TestBooks(t *testing.T) {
	f := func(live, counted, rest int64, ok bool) {
		t.Helper()
		b := &Books{Live: live << 20, Counted: counted << 20, Rest: rest << 20, Sites: []string{"the place"}}
		err := b.Check()
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "the place") {
			t.Errorf("%d MiB live, %d counted, %d at rest: %v", live, counted, rest, err)
		}
	}
	f(10, 5, 5, true)
	f(125, 100, 0, true)  // 10 % and 16 MiB
	f(127, 100, 0, false) // more lives than is counted
	f(100, 125, 0, true)
	f(100, 131, 0, false) // more is counted than lives
	if n, err := heapAlloc([]byte("heap profile: 1: 2\n# Alloc = 1\n# HeapAlloc = 12345\n")); err != nil || n != 12345 {
		t.Errorf("HeapAlloc %d, %v", n, err)
	}
	if _, err := heapAlloc(nil); err == nil {
		t.Error("no HeapAlloc, no error")
	}
}
