package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxFrame bounds the bytes of one frame of a stream. An event has at most 262,144
// bytes.
const maxFrame = 1 << 20

var errLongFrame = fmt.Errorf("%w: a frame of the stream is longer than %d bytes", ErrReply, maxFrame)

// frame is one dispatched event of a stream.
type frame struct {
	kind string // "" is a message
	id   string // the last id of the stream
	own  bool   // that id came with this frame, or after the frame before
	data []byte // valid until the next call
}

// frames reads server-sent events as the WHATWG standard says: lines end with
// LF, CR or CR LF; a byte order mark at the beginning is skipped; a frame that
// is not ended by an empty line is dropped.
type frames struct {
	r       *bufio.Reader
	begun   bool
	afterCR bool
	lines   []byte // the line that is being read
	data    []byte // of the frame so far
	lastID  string
	newID   bool // lastID came after the last frame

	// retry is the last wait before a reconnect that the stream asked for.
	retry    time.Duration
	hasRetry bool
}

func newFrames(r io.Reader) *frames { return &frames{r: bufio.NewReaderSize(r, 32<<10)} }

// next returns the next frame that has data. io.EOF says that the stream ended,
// between two frames or within one.
func (f *frames) next() (frame, error) {
	var fr frame
	f.data = f.data[:0]
	for hasData := false; ; {
		line, err := f.line()
		if err != nil {
			return frame{}, err
		}
		if len(line) == 0 {
			if !hasData {
				fr = frame{}
				continue
			}
			fr.data = f.data[:len(f.data)-1] // the last LF
			fr.id, fr.own = f.lastID, f.newID
			f.newID = false
			return fr, nil
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(name) {
		case "event":
			fr.kind = string(value)
		case "data":
			if len(f.data)+len(value) >= maxFrame {
				return frame{}, errLongFrame
			}
			f.data = append(append(f.data, value...), '\n')
			hasData = true
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				f.lastID, f.newID = string(value), true
			}
		case "retry":
			f.setRetry(value)
		}
	}
}

func (f *frames) setRetry(value []byte) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return
		}
	}
	if ms, err := strconv.ParseInt(string(value), 10, 32); err == nil {
		f.retry, f.hasRetry = time.Duration(ms)*time.Millisecond, true
	}
}

// line returns the next line without its end. It never waits for a byte behind the
// line: the LF of a CR LF is dropped only by the next call.
func (f *frames) line() ([]byte, error) {
	f.lines = f.lines[:0]
	for {
		if _, err := f.r.Peek(1); err != nil {
			return nil, err
		}
		buf, _ := f.r.Peek(f.r.Buffered())
		if f.afterCR {
			f.afterCR = false
			if buf[0] == '\n' {
				f.r.Discard(1)
				continue
			}
		}
		if end := bytes.IndexAny(buf, "\r\n"); end >= 0 {
			f.afterCR = buf[end] == '\r'
			f.lines = append(f.lines, buf[:end]...)
			f.r.Discard(end + 1)
			if !f.begun {
				f.begun = true
				f.lines = bytes.TrimPrefix(f.lines, []byte("\uFEFF"))
			}
			if len(f.lines) > maxFrame {
				return nil, errLongFrame
			}
			return f.lines, nil
		}
		f.lines = append(f.lines, buf...)
		f.r.Discard(len(buf))
		if len(f.lines) > maxFrame {
			return nil, errLongFrame
		}
	}
}

// errSilent ends a stream that is silent for too long.
var errSilent = errors.New("the stream was silent for too long")
