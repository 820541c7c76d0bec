package fasthttp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// dechunker reads a chunked body strictly: heads as this relay writes them, and
// nothing behind the last chunk. An end without one is io.ErrUnexpectedEOF. It
// can be asked again after a time-out, which the standard library's can't.
type dechunker struct {
	br     *bufio.Reader
	left   int  // of the chunk under way
	behind bool // its line end comes next
	ended  bool
}

func (d *dechunker) Read(p []byte) (int, error) {
	for d.left == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n, err := d.br.Read(p[:min(len(p), d.left)])
	if d.left -= n; d.left == 0 {
		d.behind = true
	}
	return n, cut(err)
}

func (d *dechunker) next() error {
	if d.ended {
		return io.EOF
	}
	if d.behind {
		if err := d.expect("\r\n"); err != nil {
			return err
		}
		d.behind = false
	}
	line, err := d.line()
	if err != nil {
		return cut(err)
	}
	var room [16]byte
	n, err := strconv.ParseUint(string(bytes.TrimSuffix(line, []byte("\r\n"))), 16, 31)
	if err != nil || !bytes.Equal(append(strconv.AppendUint(room[:0], n, 16), "\r\n"...), line) {
		return fmt.Errorf("%w: %.100q is no head of a chunk", errFrame, line)
	}
	d.br.Discard(len(line))
	if n == 0 {
		if err := d.expect("\r\n"); err != nil {
			return err
		}
		if rest, err := io.ReadAll(d.br); len(rest) > 0 || err != nil {
			return fmt.Errorf("%w: %.100q behind the last chunk: %v", errFrame, rest, err)
		}
		d.ended = true
		return io.EOF
	}
	d.left = int(n)
	return nil
}

// line returns the next line and leaves it where it is.
func (d *dechunker) line() ([]byte, error) {
	for n := 1; ; n++ {
		b, err := d.br.Peek(n)
		if err != nil || bytes.HasSuffix(b, []byte("\n")) {
			return b, err
		}
	}
}

func (d *dechunker) expect(text string) error {
	b, err := d.br.Peek(len(text))
	if err != nil {
		return cut(err)
	}
	if string(b) != text {
		return fmt.Errorf("%w: %q where a chunk ends", errFrame, b)
	}
	d.br.Discard(len(text))
	return nil
}

// cut says that the end of a connection is no end of what it carries.
func cut(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func TestDechunker_IsStrict(t *testing.T) {
	f := func(in, want string, wantErr error) {
		t.Helper()
		got, err := io.ReadAll(&dechunker{br: bufio.NewReader(strings.NewReader(in))})
		if string(got) != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Errorf("%q gives %q, %v; want %q, %v", in, got, err, want, wantErr)
		}
	}
	f("3\r\nabc\r\n0\r\n\r\n", "abc", nil)
	f("3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", nil)
	for _, in := range []string{"3\r\nabc", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n", "3\r\nab", "3", ""} {
		got, err := io.ReadAll(&dechunker{br: bufio.NewReader(strings.NewReader(in))})
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"03\r\nabc\r\n", "3\nabc\r\n", "A\r\n0123456789\r\n", "3;x\r\nabc\r\n", "3\r\nabcd\r\n", "0\r\n\r\nx"} {
		if got, err := io.ReadAll(&dechunker{br: bufio.NewReader(strings.NewReader(in))}); err == nil || err == io.ErrUnexpectedEOF {
			t.Errorf("%q gives %q, %v", in, got, err)
		}
	}
}
