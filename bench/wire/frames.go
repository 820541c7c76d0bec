package wire

import (
	"bytes"
	"errors"
	"io"
)

// scanBuffer is the size of a stream's read buffer in bytes, and of its largest
// frame.
const scanBuffer = 64 << 10

var (
	errFrameTooLong = errors.New("frame is longer than the read buffer")
	errTwoData      = errors.New("frame with two data lines")
)

// Frames cuts a stream of server-sent events into frames. It looks at each byte
// once, with IndexByte. It copies only the frame that the end of the buffer
// cuts in two.
type Frames struct {
	r          io.Reader
	buf        []byte
	start, end int    // buf[start:end] was read and not returned yet
	OnRead     func() // called after each read, if set
}

// NewFrames reads frames of at most 64 KiB from r.
func NewFrames(r io.Reader) *Frames { return NewFramesOf(r, scanBuffer) }

// NewFramesOf reads frames of at most size bytes from r.
func NewFramesOf(r io.Reader, size int) *Frames {
	return &Frames{r: r, buf: make([]byte, size)}
}

// Next returns id and data of the next frame that has data. It passes over
// comments and `retry:`. id is nil if the frame has none. Both are valid until
// the next call. At the end of the stream it returns io.EOF, and within a frame
// io.ErrUnexpectedEOF.
func (s *Frames) Next() (id, data []byte, err error) {
	var (
		line       = s.start // where the current line begins
		seen       = s.start // there is no line end before it
		idAt, idTo int
		at, to     int // of the data
		hasID, has bool
	)
	for {
		i := bytes.IndexByte(s.buf[seen:s.end], '\n')
		if i < 0 {
			seen = s.end
			if s.start > 0 {
				gap := s.start
				copy(s.buf, s.buf[s.start:s.end])
				s.start, s.end = 0, s.end-gap
				line, seen, idAt, idTo, at, to = line-gap, seen-gap, idAt-gap, idTo-gap, at-gap, to-gap
			}
			if err := s.fill(); err != nil {
				return nil, nil, err
			}
			continue
		}
		eol := seen + i
		from, until := line, eol
		if until > from && s.buf[until-1] == '\r' {
			until--
		}
		line, seen = eol+1, eol+1
		text := s.buf[from:until]
		switch {
		case len(text) == 0:
			s.start = line
			if !has {
				hasID = false
				continue
			}
			if hasID {
				id = s.buf[idAt:idTo]
			}
			return id, s.buf[at:to], nil
		case field(text, "data"):
			if has {
				return nil, nil, errTwoData
			}
			has, at, to = true, from+valueAt(text, len("data:")), until
		case field(text, "id"):
			hasID, idAt, idTo = true, from+valueAt(text, len("id:")), until
		}
	}
}

// field says whether the line holds the named field.
func field(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && string(line[:len(name)]) == name
}

// valueAt returns where a field's value begins: one blank after the colon does
// not belong to it.
func valueAt(line []byte, at int) int {
	if len(line) > at && line[at] == ' ' {
		at++
	}
	return at
}

// fill reads once, behind what is in the buffer.
func (s *Frames) fill() error {
	if s.end == len(s.buf) {
		return errFrameTooLong
	}
	n, err := s.r.Read(s.buf[s.end:])
	s.end += n
	if n > 0 {
		if s.OnRead != nil {
			s.OnRead()
		}
		return nil
	}
	if err == io.EOF && s.end > s.start {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
