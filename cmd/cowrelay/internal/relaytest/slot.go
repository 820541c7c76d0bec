package relaytest

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

// Slot is one mailbox, as a client knows it.
type Slot struct {
	ID    string `json:"slot_id"`
	Token string `json:"slot_token"`
}

var HTTPClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Send makes a request with the slot's token and returns the reply with its
// body.
func (s Slot) Send(client *http.Client, method, url string, body []byte) (*http.Response, []byte, error) {
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

// MustSend fails unless the reply has the status.
func (s Slot) MustSend(t testing.TB, status int, method, url string, body []byte) []byte {
	t.Helper()
	res, data, err := s.Send(HTTPClient, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("%s %s: %s %s", method, url, res.Status, data)
	}
	return data
}

func (r *Relay) Allocate() (s Slot) {
	r.T.Helper()
	body := Slot{}.MustSend(r.T, http.StatusCreated, "POST", r.URL+"/v1/slot/allocate", []byte("{}"))
	if err := json.Unmarshal(body, &s); err != nil {
		r.T.Fatal(err)
	}
	return s
}

func (r *Relay) EventsURL(s Slot) string { return r.URL + "/v1/events/" + s.ID }

func PostBody(event []byte) []byte { return fmt.Appendf(nil, `{"event":%s}`, event) }

// Post stores an event.
func (r *Relay) Post(s Slot, event []byte) {
	r.T.Helper()
	s.MustSend(r.T, http.StatusCreated, "POST", r.EventsURL(s), PostBody(event))
}

// Pull returns the events behind since, page by page to the end.
func (r *Relay) Pull(s Slot, since string) (events []json.RawMessage) {
	r.T.Helper()
	for {
		var page []json.RawMessage
		u := r.EventsURL(s) + "?limit=1000&since=" + url.QueryEscape(since)
		if err := json.Unmarshal(s.MustSend(r.T, http.StatusOK, "GET", u, nil), &page); err != nil {
			r.T.Fatal(err)
		}
		if len(page) == 0 {
			return events
		}
		events = append(events, page...)
		since = EventID(page[len(page)-1])
	}
}

// EventID returns the id of an event that begins with it, as all of the tests'
// events do.
func EventID(event []byte) string {
	rest, ok := bytes.CutPrefix(event, []byte(`{"event_id":"`))
	id, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 {
		return ""
	}
	return string(id)
}

// Event is the n-th event of a writer; all of it follows from the
// arguments, so that a reader can check every byte.
func Event(writer string, n, size int) []byte {
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

// StreamedEvent is one frame of a stream.
type StreamedEvent struct{ ID, Data string }

// Stream is an open stream over a connection of its own.
type Stream struct {
	Conn net.Conn
	R    *bufio.Reader
}

// OpenStream returns when the head has come. lastID resumes, unless empty.
func OpenStream(r *Relay, s Slot, lastID string) (*Stream, error) {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(r.URL, "http://"), 5*time.Second)
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
	st.Conn.SetDeadline(time.Now().Add(60 * time.Second))
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

// Metric reads a series of the relay.
func (r *Relay) Metric(series string) (value float64) {
	r.T.Helper()
	res, err := http.Get(r.AdminURL + "/metrics")
	if err != nil {
		r.T.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			fmt.Sscan(text, &value)
			return value
		}
	}
	r.T.Fatalf("no %s", series)
	return 0
}

// NewClient returns one of its own, so that its connections end with it.
func NewClient() (*http.Client, func()) {
	tr := &http.Transport{}
	return &http.Client{Timeout: 20 * time.Second, Transport: tr}, tr.CloseIdleConnections
}

// Admin runs an admin command against a relay and fails unless it ends well.
func (r *Relay) Admin(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := Command(t, []string{"COWRELAY_ADMIN_URL=" + r.AdminURL}, append([]string{"admin"}, args...)...)
	if code != 0 || errs != "" {
		t.Fatalf("admin %v: exit %d\n%s", args, code, errs)
	}
	return out
}
