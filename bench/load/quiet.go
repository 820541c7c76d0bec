package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"cowrelay/bench/wire"
)

// quietBuffer is the read buffer of a quiet stream in bytes, and the longest
// response head. It is small because there are thousands of these streams.
const quietBuffer = 1 << 10

// A QuietStream is an open stream of a slot that nobody posts to: only comments
// may come. It is open when its head and its first comment have come.
type QuietStream struct {
	C    *wire.Conn
	body io.Reader

	inLine   bool // in the middle of a line
	comment  bool // which is a comment
	comments int  // that have come

	// Heard counts the comments that came while measuring. Run adds to it.
	Heard atomic.Int64
}

// OpenQuiet opens a stream and reads up to its first comment.
func OpenQuiet(ctx context.Context, s *Server, src *wire.Sources, req []byte) (*QuietStream, error) {
	c, err := wire.DialFrom(ctx, src, s.Addr, quietBuffer)
	if err != nil {
		return nil, err
	}
	q := &QuietStream{C: c}
	if err := q.begin(ctx, req); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot open a stream: %w", err)
	}
	return q, nil
}

func (q *QuietStream) begin(ctx context.Context, req []byte) error {
	c := q.C
	defer context.AfterFunc(ctx, c.Close)()
	var err error
	if q.body, err = c.OpenStream(req); err != nil {
		return err
	}
	_ = c.TCP.SetReadDeadline(time.Now().Add(wire.AnswerGrace))
	var buf [64]byte
	for q.comments == 0 {
		if err := q.read(buf[:]); err != nil {
			return fmt.Errorf("before its first comment: %w", err)
		}
	}
	_ = c.TCP.SetReadDeadline(time.Time{})
	return nil
}

// read reads once into buf and counts the comments that end in it. A line that
// is not a comment is an error, since nothing was posted.
func (q *QuietStream) read(buf []byte) error {
	n, err := q.body.Read(buf)
	for b := buf[:n]; len(b) > 0; {
		if !q.inLine {
			q.inLine, q.comment = true, b[0] == ':'
			if !q.comment && b[0] != '\n' && b[0] != '\r' {
				return fmt.Errorf("a stream of a silent slot carries %q", b)
			}
		}
		eol := bytes.IndexByte(b, '\n')
		if eol < 0 {
			break
		}
		if q.comment {
			q.comments++
		}
		q.inLine = false
		b = b[eol+1:]
	}
	return err
}

// Run reads until the stream ends, and returns why.
func (q *QuietStream) Run(phase *atomic.Int32) error {
	var buf [64]byte
	for {
		before := q.comments
		err := q.read(buf[:])
		if phase.Load() == Measuring {
			q.Heard.Add(int64(q.comments - before))
		}
		if err != nil {
			return err
		}
	}
}
