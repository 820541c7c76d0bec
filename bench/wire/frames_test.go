package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// frames reads all frames of r as "id|data" lines.
func frames(r io.Reader) (out []string, err error) {
	s := NewFrames(r)
	for {
		id, data, err := s.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, fmt.Sprintf("%s|%s", id, data))
	}
}

func TestFrameScanner(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(in), "by bytes": iotest.OneByteReader(strings.NewReader(in)),
			"by halves": iotest.HalfReader(strings.NewReader(in)),
		} {
			got, err := frames(r)
			if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s: frames of %q = %q, %v, want %q", name, in, got, err, want)
			}
		}
	}
	f("")
	f(": hello\n\n")
	f("id: a\ndata: {}\n\n", "a|{}")
	f("data:{}\nid:a\n\n", "a|{}")
	f("data: {}\n\n", "|{}")
	f("id: a\r\ndata: {}\r\n\r\n", "a|{}")
	f(": x\n\nretry: 5\n\nid: lost\n\nid: a\ndata: 1\n\n: y\n\nid: b\ndata: 2\n\n", "a|1", "b|2")
	f("data: "+strings.Repeat("z", 40_000)+"\n\nid: b\ndata: 2\n\n", "|"+strings.Repeat("z", 40_000), "b|2")
}

func TestFrameScanner_faults(t *testing.T) {
	f := func(in string, want error) {
		t.Helper()
		if _, err := frames(strings.NewReader(in)); !errors.Is(err, want) {
			t.Errorf("frames of %.40q: error %v, want %v", in, err, want)
		}
	}
	f("id: a\ndata: {}\n", io.ErrUnexpectedEOF)
	f("data: 1\ndata: 2\n\n", errTwoData)
	f("data: "+strings.Repeat("z", scanBuffer)+"\n\n", errFrameTooLong)
}
