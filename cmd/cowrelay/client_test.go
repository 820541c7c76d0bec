package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slot is one mailbox, as a client knows it.
type slot struct {
	ID    string `json:"slot_id"`
	Token string `json:"slot_token"`
}

var httpClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// send makes a request with the slot's token and returns the reply with its
// body.
func (s slot) send(client *http.Client, method, url string, body []byte) (*http.Response, []byte, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res, data, err
}

// mustSend fails unless the reply has the status.
func (s slot) mustSend(t testing.TB, status int, method, url string, body []byte) []byte {
	t.Helper()
	res, data, err := s.send(httpClient, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("%s %s: %s %s", method, url, res.Status, data)
	}
	return data
}

func (r *relay) allocate() (s slot) {
	r.t.Helper()
	body := slot{}.mustSend(r.t, http.StatusCreated, "POST", r.url+"/v1/slot/allocate", []byte("{}"))
	if err := json.Unmarshal(body, &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *relay) eventsURL(s slot) string { return r.url + "/v1/events/" + s.ID }

func postBody(event []byte) []byte { return fmt.Appendf(nil, `{"event":%s}`, event) }

// post stores an event.
func (r *relay) post(s slot, event []byte) {
	r.t.Helper()
	s.mustSend(r.t, http.StatusCreated, "POST", r.eventsURL(s), postBody(event))
}

// pull returns the events behind since, page by page to the end.
func (r *relay) pull(s slot, since string) (events []json.RawMessage) {
	r.t.Helper()
	for {
		var page []json.RawMessage
		u := r.eventsURL(s) + "?limit=1000&since=" + url.QueryEscape(since)
		if err := json.Unmarshal(s.mustSend(r.t, http.StatusOK, "GET", u, nil), &page); err != nil {
			r.t.Fatal(err)
		}
		if len(page) == 0 {
			return events
		}
		events = append(events, page...)
		since = eventID(page[len(page)-1])
	}
}

// eventID returns the id of an event that begins with it, as all of the tests'
// events do.
func eventID(event []byte) string {
	rest, ok := bytes.CutPrefix(event, []byte(`{"event_id":"`))
	id, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 {
		return ""
	}
	return string(id)
}

// testEvent is the n-th event of a writer; all of it follows from the
// arguments, so that a reader can check every byte.
func testEvent(writer string, n, size int) []byte {
	b := make([]byte, 0, size+64)
	b = fmt.Appendf(b, `{"event_id":"%s-%d","kind":1,"body":"`, writer, n)
	x := uint64(n)
	for _, c := range writer {
		x = x*31 + uint64(c)
	}
	for len(b) < size-2 { // nothing that compresses
		x = x*6364136223846793005 + 1442695040888963407
		b = append(strconv.AppendUint(b, x, 36), ' ')
	}
	return append(b, `"}`...)
}

// streamedEvent is one frame of a stream.
type streamedEvent struct{ id, data string }

// stream is an open stream over a connection of its own.
type stream struct {
	conn net.Conn
	r    *bufio.Reader
}

// openStream returns when the head has come. lastID resumes, unless empty.
func openStream(r *relay, s slot, lastID string) (*stream, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.url, "http://"), 5*time.Second)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("GET /v1/events/%s/stream HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer %s\r\n", s.ID, s.Token)
	if lastID != "" {
		head += "Last-Event-ID: " + lastID + "\r\n"
	}
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		conn.Close()
		return nil, err
	}
	st := &stream{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	res, err := http.ReadResponse(st.r, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		conn.Close()
		return nil, fmt.Errorf("stream: %s", res.Status)
	}
	st.r = bufio.NewReaderSize(res.Body, 64<<10) // out of its chunks
	return st, nil
}

func mustStream(r *relay, s slot, lastID string) *stream {
	r.t.Helper()
	st, err := openStream(r, s, lastID)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { st.conn.Close() })
	return st
}

// block reads the lines of a frame, or a comment or retry line. io.EOF comes
// between blocks only, and from a relay that ends the stream; an end inside of
// one, or of the connection alone, is io.ErrUnexpectedEOF.
func (st *stream) block() (lines []string, err error) {
	for {
		line, err := st.r.ReadString('\n')
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

// next returns the next event, past comments.
func (st *stream) next() (ev streamedEvent, err error) {
	st.conn.SetDeadline(time.Now().Add(60 * time.Second))
	for {
		lines, err := st.block()
		if err != nil {
			return ev, err
		}
		for _, l := range lines {
			if id, ok := strings.CutPrefix(l, "id: "); ok {
				ev.id = id
			}
			if data, ok := strings.CutPrefix(l, "data: "); ok {
				ev.data = data
			}
		}
		if ev.data != "" {
			return ev, nil
		}
	}
}
