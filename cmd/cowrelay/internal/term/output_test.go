package term

import (
	"slices"
	"strings"
	"testing"
)

// A character that comes in two writes is one, and what is none is shown as such.
func TestOutput_Parts(t *testing.T) {
	for _, split := range []int{1, 2, 3, 5, 7} {
		text := []byte("é漢\U0001f600\u009b\r\x1bz\xff\xe6\xbc")
		var b strings.Builder
		o := &Output{w: &b, terminal: true}
		for part := range slices.Chunk(text, split) {
			if n, err := o.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if want := "é漢\U0001f600\\u009b \\u001bz\uFFFD\uFFFD\uFFFD"; b.String() != want {
			t.Errorf("%d bytes at a time: %q, want %q", split, b.String(), want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got, want := Printable("a\x1b[2Jb\tc\u202e"), "a\uFFFD[2Jb\uFFFDc\uFFFD"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
