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

// quietBuffer is the read buffer of a stream that hears nothing, and the
// largest response head: there are thousands of them.
const quietBuffer = 1 << 10

// A QuietStream is an open stream of a slot that hears nothing: only comments
// may come. Its head and its first comment have come when it is opened.
type QuietStream struct {
	C    *wire.Conn
	body io.Reader

	inLine   bool // a line has begun
	comment  bool // and it is a comment
	comments int  // how many have come

	// Heard is how many came while measuring; written by run.
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

// read reads once into buf and counts the comment lines that end in it. A line
// that is no comment is an error: nothing was posted.
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
