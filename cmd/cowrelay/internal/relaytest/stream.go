package relaytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// StreamedEvent is one frame of a stream.
type StreamedEvent struct{ ID, Data string }

// Stream is an open stream over a connection of its own.
type Stream struct {
	Conn net.Conn
	R    *bufio.Reader
}

// OpenStream returns when the head has come. lastID resumes, unless empty.
func OpenStream(r *Relay, s Slot, lastID string) (*Stream, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.URL, "http://"), time.Minute)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("GET /v1/events/%s/stream HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer %s\r\n", s.ID, s.Token)
	if lastID != "" {
		head += "Last-Event-ID: " + lastID + "\r\n"
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		conn.Close()
		return nil, err
	}
	st := &Stream{Conn: conn, R: bufio.NewReaderSize(conn, 64<<10)}
	res, err := http.ReadResponse(st.R, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		conn.Close()
		return nil, fmt.Errorf("stream: %s", res.Status)
	}
	st.R = bufio.NewReaderSize(res.Body, 64<<10) // out of its chunks
	return st, nil
}

// MustStream opens a stream, and closes it at the end of the test.
func MustStream(r *Relay, s Slot, lastID string) *Stream {
	r.T.Helper()
	st, err := OpenStream(r, s, lastID)
	if err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(func() { st.Conn.Close() })
	return st
}

// Block reads the lines of a frame, or a comment or retry line. io.EOF comes
// between blocks only, and from a relay that ends the stream; an end inside of
// one, or of the connection alone, is io.ErrUnexpectedEOF.
func (st *Stream) Block() (lines []string, err error) {
	for {
		line, err := st.R.ReadString('\n')
		switch {
		case err == io.EOF && line == "" && len(lines) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return lines, io.ErrUnexpectedEOF
		case err != nil:
			return lines, err
		case line == "\n":
			return lines, nil
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
		if len(lines) == 1 && (line[0] == ':' || strings.HasPrefix(line, "retry:")) {
			return lines, nil
		}
	}
}

// Next returns the next event, past comments.
func (st *Stream) Next() (ev StreamedEvent, err error) {
	st.Conn.SetDeadline(time.Now().Add(2 * time.Minute))
	for {
		lines, err := st.Block()
		if err != nil {
			return ev, err
		}
		for _, l := range lines {
			if id, ok := strings.CutPrefix(l, "id: "); ok {
				ev.ID = id
			}
			if data, ok := strings.CutPrefix(l, "data: "); ok {
				ev.Data = data
			}
		}
		if ev.Data != "" {
			return ev, nil
		}
	}
}
