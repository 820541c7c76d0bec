package wire

import (
	"errors"
	"io"
	"strings"
)

// A chunkReader takes the transfer chunks away from a body (RFC 9112, 7.1) in
// the buffer that it is read into. A stream's load is many small chunks, which a
// reader between two buffers would copy a second time.
type chunkReader struct {
	r    io.Reader
	left int // bytes of the chunk under way and the line end behind it; 0: its head comes next
	size int // read of that head so far
	digs int // digits of it
	ext  bool
	err  error
}

const chunkEnd = len("\r\n")

var errChunk = errors.New("a transfer chunk is broken")

// Read implements io.Reader. The end of the last chunk is io.EOF, and an end
// before it io.ErrUnexpectedEOF.
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

// strip moves the data in p to its beginning and returns its length.
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

// head reads as much of a chunk's head as is there.
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
