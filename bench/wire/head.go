package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Head is the part of a response head that the generator reads. It looks at
// nothing else: the cost of parsing headers would be in every measurement.
type Head struct {
	Status  int
	Length  int // Content-Length in bytes, -1 without one
	chunked bool
	closing bool // the server said Connection: close

	RetryAfter bool // there is a Retry-After with a number
}

var (
	headEnd          = []byte("\r\n\r\n")
	errShortHead     = errors.New("response head is malformed")
	errNoLength      = errors.New("response has no Content-Length")
	keyContentLength = []byte("content-length")
	keyEncoding      = []byte("transfer-encoding")
	keyConnection    = []byte("connection")
	keyRetryAfter    = []byte("retry-after")
)

// readHead reads one response head from r, which is at the body then. The head
// must fit into r's buffer.
func readHead(r *bufio.Reader) (Head, error) {
	want := 1
	for {
		if _, err := r.Peek(want); err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				return Head{}, fmt.Errorf("response head is over %d bytes", r.Size())
			}
			if err == io.EOF && r.Buffered() > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Head{}, err
		}
		b, _ := r.Peek(r.Buffered())
		if end := bytes.Index(b, headEnd); end >= 0 {
			h, err := parseHead(b[:end+2])
			if err != nil {
				return h, err
			}
			_, err = r.Discard(end + len(headEnd))
			return h, err
		}
		want = len(b) + 1
	}
}

// parseHead parses the status line and the header lines in b. Each ends with CR
// LF.
func parseHead(b []byte) (Head, error) {
	h := Head{Length: -1}
	if len(b) < len("HTTP/1.1 200") || !bytes.HasPrefix(b, []byte("HTTP/1.")) || b[8] != ' ' {
		return h, errShortHead
	}
	for _, c := range b[9:12] {
		if c < '0' || c > '9' {
			return h, errShortHead
		}
		h.Status = h.Status*10 + int(c-'0')
	}
	eol := bytes.IndexByte(b, '\n')
	for b = b[eol+1:]; len(b) > 0; {
		eol = bytes.IndexByte(b, '\n')
		if eol < 0 {
			return h, errShortHead
		}
		line := b[:eol]
		b = b[eol+1:]
		// Most names have none of these lengths.
		switch colon := bytes.IndexByte(line, ':'); colon {
		case len(keyContentLength):
			if bytes.EqualFold(line[:colon], keyContentLength) {
				n, ok := parseLength(bytes.TrimSpace(line[colon+1:]))
				if !ok {
					return h, errShortHead
				}
				h.Length = n
			}
		case len(keyEncoding):
			if bytes.EqualFold(line[:colon], keyEncoding) {
				h.chunked = bytes.EqualFold(bytes.TrimSpace(line[colon+1:]), []byte("chunked"))
			}
		case len(keyConnection):
			if bytes.EqualFold(line[:colon], keyConnection) {
				h.closing = bytes.EqualFold(bytes.TrimSpace(line[colon+1:]), []byte("close"))
			}
		case len(keyRetryAfter):
			if bytes.EqualFold(line[:colon], keyRetryAfter) {
				_, h.RetryAfter = parseLength(bytes.TrimSpace(line[colon+1:]))
			}
		case -1, 0:
			return h, errShortHead
		}
	}
	return h, nil
}

// parseLength reads a decimal of at most 10 digits.
func parseLength(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
