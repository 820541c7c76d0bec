package wire

import (
	"errors"
	"io"
	"strings"
)

// A chunkReader takes the transfer chunks (RFC 9112, 7.1) out of a body. It
// works in place, in the buffer that the caller reads into: a stream under load
// is many small chunks, and a reader with a buffer of its own would copy each
// of them twice.
//
//	head ("1a;ext\r\n") -> data (26 bytes) -> "\r\n" -> head ... -> "0\r\n" -> io.EOF
type chunkReader struct {
	r    io.Reader
	left int  // bytes left of this chunk's data and of its line end; 0: a head comes next
	size int  // the part of the head's number that was read
	digs int  // how many digits that is
	ext  bool // the rest of the head is an extension, which is skipped
	err  error
}

const chunkEnd = len("\r\n")

var errChunk = errors.New("a transfer chunk is broken")

// Read implements io.Reader. It returns io.EOF after the last chunk, and
// io.ErrUnexpectedEOF if the body ends before it.
func (c *chunkReader) Read(p []byte) (int, error) {
	for c.err == nil {
		n, err := c.r.Read(p)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		c.err = err
		if n = c.strip(p[:n]); n > 0 {
			return n, nil
		}
	}
	return 0, c.err
}

// strip moves the data in p to its beginning and returns how much there is.
func (c *chunkReader) strip(p []byte) (to int) {
	for at := 0; at < len(p); {
		rest := p[at:]
		n := min(len(rest), c.left)
		switch {
		case c.left > chunkEnd:
			n = min(n, c.left-chunkEnd)
			to += copy(p[to:], rest[:n])
			c.left -= n
		case c.left > 0:
			c.left -= n
		default:
			var ok bool
			if n, ok = c.head(rest); !ok {
				c.err = errChunk
			}
			if c.err == errChunk || c.err == io.EOF {
				return to
			}
		}
		at += n
	}
	return to
}

// head reads a chunk's head from p, or the part of it that is there, and
// returns how many bytes that took.
func (c *chunkReader) head(p []byte) (n int, ok bool) {
	for i, b := range p {
		switch d := strings.IndexByte("0123456789abcdef", b|0x20); {
		case b == '\n':
			if c.digs == 0 {
				return 0, false
			}
			if c.size == 0 {
				c.err = io.EOF
			}
			c.left = c.size + chunkEnd
			c.size, c.digs, c.ext = 0, 0, false
			return i + 1, true
		case c.ext, b == '\r':
		case b == ';':
			c.ext = true
		case d < 0 || c.digs == 7:
			return 0, false
		default:
			c.size = c.size<<4 | d
			c.digs++
		}
	}
	return len(p), true
}
