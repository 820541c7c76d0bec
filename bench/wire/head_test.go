package wire

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadHead(t *testing.T) {
	f := func(in string, want Head) {
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
	f("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", Head{Status: 200, Length: 4})
	f("HTTP/1.1 201 Created\r\nDate: x\r\ncontent-length:17  \r\nX: y\r\n\r\nbody", Head{Status: 201, Length: 17})
	f("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbody", Head{Status: 200, Length: -1, chunked: true})
	f("HTTP/1.0 503 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\nbody", Head{Status: 503, Length: 0, closing: true})
	f("HTTP/1.1 503 no\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\nbody", Head{Status: 503, RetryAfter: true})
	f("HTTP/1.1 503 no\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\nbody", Head{Status: 503})
	f("HTTP/1.1 204 \r\n\r\nbody", Head{Status: 204, Length: -1})
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
