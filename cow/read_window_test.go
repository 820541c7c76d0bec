package cow_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cowrelay/cow"
)

// A page is at most so many bytes, brackets and all commas included, unless
// its one event is longer; it is as long as that allows; and from its last id
// the next goes on, until all was read.
func TestWindow_PageBytesAreExact(t *testing.T) {
	for _, page := range []int{2, 10, 100, 999, 1000, 1001, 1500, 4096, 5000, 20_000, 50_001} {
		f := open(t, cow.Options{PageBytes: page})
		slot := f.slot()
		var events []string
		for i := range 120 { // many chunks, ends of pages in all of them
			e := fmt.Sprintf(`{"event_id":"%d","p":"%s"}`, i, strings.Repeat("x", i*37%500))
			events = append(events, e)
			f.must(slot, e)
		}
		if slot.Chunks() < 4 {
			t.Fatalf("%d chunks", slot.Chunks())
		}
		for start := range events {
			since := ""
			if start > 0 {
				since = fmt.Sprint(start - 1)
			}
			want := "[" + events[start]
			for _, e := range events[start+1:] {
				if len(want)+1+len(e)+1 > page {
					break
				}
				want += "," + e
			}
			if got := f.page(slot, since, 1000); got != want+"]" {
				t.Fatalf("a page of at most %d bytes since %q has %d, want %d", page, since, len(got), len(want)+1)
			}
		}
	}
}

// The zero Window, and one whose window failed, are empty pages.
func TestWindow_ZeroIsAnEmptyPage(t *testing.T) {
	var w cow.Window
	check := func(when string) {
		t.Helper()
		var b bytes.Buffer
		if n, err := w.WriteTo(&b); b.String() != "[]" || n != 2 || err != nil || w.Len() != 2 || w.Events() != 0 {
			t.Errorf("%s: %q, length %d, %d events", when, b.String(), w.Len(), w.Events())
		}
	}
	check("zero")
	f := open(t, cow.Options{})
	slot := f.slot()
	f.must(slot, ev("a"))
	if err := f.Window(slot, cow.Oldest(), 0, &w); err != nil {
		t.Fatal(err)
	}
	check("limit 0")
	if err := f.Window(slot, cow.Oldest(), 1, &w); err != nil || w.Events() != 1 {
		t.Fatal(err)
	}
	if err := f.Remove(slot); err != nil {
		t.Fatal(err)
	}
	if err := f.Window(slot, cow.Oldest(), 1, &w); err == nil {
		t.Fatal("a removed slot has a window")
	}
	check("after an error")
}
