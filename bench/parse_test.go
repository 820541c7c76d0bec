package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadHead(t *testing.T) {
	f := func(in string, want head) {
		t.Helper()
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "by bytes": iotest.OneByteReader(strings.NewReader(in))} {
			br := bufio.NewReaderSize(r, 256)
			got, err := readHead(br)
			if err != nil || got != want {
				t.Errorf("%s: readHead(%q) = %+v, %v, want %+v", name, in, got, err, want)
			}
			if rest, _ := io.ReadAll(br); string(rest) != "body" {
				t.Errorf("%s: after readHead(%q) comes %q", name, in, rest)
			}
		}
	}
	f("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", head{status: 200, length: 4})
	f("HTTP/1.1 201 Created\r\nDate: x\r\ncontent-length:17  \r\nX: y\r\n\r\nbody", head{status: 201, length: 17})
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbody", head{status: 200, length: -1, chunked: true})
	f("HTTP/1.0 503 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\nbody", head{status: 503, length: 0, closing: true})
	f("HTTP/1.1 204 \r\n\r\nbody", head{status: 204, length: -1})
}

func TestReadHead_malformed(t *testing.T) {
	f := func(in string, want error) {
		t.Helper()
		_, err := readHead(bufio.NewReaderSize(strings.NewReader(in), 64))
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("readHead(%q): error %v, want %v", in, err, want)
		}
	}
	f("", io.EOF)
	f("HTTP/1.1 200", io.ErrUnexpectedEOF)
	f("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", io.ErrUnexpectedEOF)
	f("HTTP/2.0 200 OK\r\n\r\n", errShortHead)
	f("HTTP/1.1 2x0 OK\r\n\r\n", errShortHead)
	f("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", errShortHead)
	f("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", errShortHead)
	f("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", errShortHead)
	f("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("y", 100)+"\r\n\r\n", nil)
}

// frames reads all frames of r as "id|data" lines.
func frames(r io.Reader) (out []string, err error) {
	s := newFrameScanner(r)
	for {
		id, data, err := s.next()
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

func TestTemplate(t *testing.T) {
	nonce := strings.Repeat("ab", 24)
	tm, err := newTemplate(300, nonce)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{0, 1, 1 << 40, 1<<64 - 1} {
		e := tm.appendEvent(nil, n)
		if len(e) != 300 {
			t.Errorf("event %d has %d bytes", n, len(e))
		}
		if got, err := tm.number(e); err != nil || got != n {
			t.Errorf("number of event %d = %d, %v", n, got, err)
		}
		if got, ok := tm.numberOfID(tm.appendID(nil, n)); !ok || got != n {
			t.Errorf("number of id %d = %d, %v", n, got, ok)
		}
		e[3] ^= 1
		if _, err := tm.number(e); err == nil {
			t.Error("a changed event was not noticed")
		}
	}
	if _, err := newTemplate(minEventBytes-1, nonce); err == nil {
		t.Error("an event without room for its fields was made")
	}
	if _, err := newTemplate(300, "short"); err == nil {
		t.Error("a nonce of the wrong length was taken")
	}
	if _, ok := parseHex([]byte("00000000000000AF")); ok {
		t.Error("uppercase digits were taken")
	}
}
