package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// quietBuffer is the read buffer of a stream that hears nothing, and the
// largest response head: there are thousands of them.
const quietBuffer = 1 << 10

// A quietStream is an open stream of a slot that hears nothing: only comments
// may come. Its head and its first comment have come when it is opened.
type quietStream struct {
	c    *rawConn
	body io.Reader

	inLine   bool // a line has begun
	comment  bool // and it is a comment
	comments int  // how many have come

	// heard is how many came while measuring; written by run.
	heard atomic.Int64
}

// openQuiet opens a stream and reads up to its first comment.
func openQuiet(ctx context.Context, s *side, src *sources, req []byte) (*quietStream, error) {
	c, err := dialFrom(ctx, src, s.addr, quietBuffer)
	if err != nil {
		return nil, err
	}
	q := &quietStream{c: c}
	if err := q.begin(ctx, req); err != nil {
		c.close()
		return nil, fmt.Errorf("cannot open a stream: %w", err)
	}
	return q, nil
}

func (q *quietStream) begin(ctx context.Context, req []byte) error {
	c := q.c
	defer context.AfterFunc(ctx, c.close)()
	var err error
	if q.body, err = c.openStream(req); err != nil {
		return err
	}
	_ = c.c.SetReadDeadline(time.Now().Add(answerGrace))
	var buf [64]byte
	for q.comments == 0 {
		if err := q.read(buf[:]); err != nil {
			return fmt.Errorf("before its first comment: %w", err)
		}
	}
	_ = c.c.SetReadDeadline(time.Time{})
	return nil
}

// read reads once into buf and counts the comment lines that end in it. A line
// that is no comment is an error: nothing was posted.
func (q *quietStream) read(buf []byte) error {
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

// run reads until the stream ends, and returns why.
func (q *quietStream) run(phase *atomic.Int32) error {
	var buf [64]byte
	for {
		before := q.comments
		err := q.read(buf[:])
		if phase.Load() == measuring {
			q.heard.Add(int64(q.comments - before))
		}
		if err != nil {
			return err
		}
	}
}
