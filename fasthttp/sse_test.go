package fasthttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/stream"
)

// sse is a client of one stream. It reads the bytes strictly: nothing but
// whole frames, comment lines and a retry line may be there, the lines without
// a blank one behind them.
type sse struct {
	*wire
	br       *bufio.Reader // of the stream's text
	comments int
	torn     bool // an end within a frame is what the test is about
	retry    int  // milliseconds, -1 before the line
}

// sseFrame is one event of a stream.
type sseFrame struct {
	id   string // "" when there is no id line
	data string
}

// stream opens a stream and reads its head. header is "Last-Event-ID: x" or
// nothing.
func (m mailbox) stream(query, header string) *sse {
	m.Helper()
	s, r := m.tryStream(query, header)
	if r.status != 200 {
		m.Fatalf("stream: status %d: %s", r.status, r.body)
	}
	return s
}

func (m mailbox) tryStream(query, header string) (*sse, reply) {
	m.Helper()
	w := m.dial()
	w.send(m.streamRequest("HTTP/1.1", query, header))
	return w.openStream()
}

// streamRequest asks for a stream.
func (m mailbox) streamRequest(protocol, query, header string) string {
	if header != "" {
		header += "\n"
	}
	return "GET /v1/events/" + m.id + "/stream" + query + " " + protocol + "\nHost: x\nAuthorization: Bearer " + m.token + "\n" + header + "\n"
}

func (w *wire) openStream() (*sse, reply) {
	w.Helper()
	return w.openStreamIn(true)
}

// openStreamIn reads the head of a stream that is chunked, or is not.
func (w *wire) openStreamIn(chunked bool) (*sse, reply) {
	w.Helper()
	req, done := w.request("GET")
	res, err := http.ReadResponse(w.br, req)
	if err != nil {
		w.Fatalf("stream head: %v", err)
	}
	done()
	if res.StatusCode != 200 {
		r, err := checkReply(w.TB, res, "GET")
		if err != nil {
			w.Fatal(err)
		}
		return nil, r
	}
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no", "Content-Length": "", "Transfer-Encoding": "",
	} {
		if got := res.Header.Get(name); got != want {
			w.Errorf("stream head: %s is %q, want %q", name, got, want)
		}
	}
	checkDescribed(w.TB, req, res, nil)
	s := &sse{wire: w, br: w.br, retry: -1}
	if got := slices.Equal(res.TransferEncoding, []string{"chunked"}); got != chunked {
		w.Errorf("the stream's transfer encoding is %v; want it chunked: %v", res.TransferEncoding, chunked)
	}
	if chunked {
		s.br = bufio.NewReaderSize(&dechunker{br: w.br}, 64<<10)
	}
	line, err := s.br.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, ":") {
		w.Fatalf("the stream begins with %q, %v; want a comment line", line, err)
	}
	return s, reply{status: 200, header: res.Header}
}

func (s *sse) blank() error {
	line, err := s.br.ReadString('\n')
	if err == nil && line != "\n" {
		s.Errorf("line %.100q, want a blank one", line)
		return errFrame
	}
	return err
}

var errFrame = errors.New("bad frame")

// readFrame returns the next frame. An end that the relay made is io.EOF; one in
// the middle of anything, and a chunked stream that is cut, io.ErrUnexpectedEOF.
func (s *sse) readFrame() (sseFrame, error) {
	var f sseFrame
	for {
		line, err := s.br.ReadString('\n')
		if err != nil {
			if (line != "" || f.id != "") && !s.torn {
				s.Errorf("the stream ends within a frame: %.100q: %v", line, err)
				err = io.ErrUnexpectedEOF
			}
			return f, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch {
		case line[0] == ':' && f.id == "":
			s.comments++
		case name == "retry" && f.id == "":
			if s.retry, err = strconv.Atoi(value); err != nil {
				return f, errFrame
			}
			if next, err := s.br.ReadString('\n'); next != "" || err != io.EOF {
				s.Errorf("%q, %v behind the retry line", next, err)
			}
			return f, io.EOF
		case name == "id" && f.id == "":
			if f.id = value; value == "" {
				f.id = "\x00empty"
			}
			continue
		case name == "data":
			f.data = value
			if err := s.blank(); err != nil {
				return f, io.ErrUnexpectedEOF
			}
			return f, nil
		default:
			return f, fmt.Errorf("%w: line %.100q", errFrame, line)
		}
	}
}

func (s *sse) next() sseFrame {
	s.Helper()
	f, err := s.readFrame()
	if err != nil {
		s.Fatalf("no frame: %v", err)
	}
	return f
}

// want reads one frame for each of the numbers of fill, in order.
func (s *sse) want(from, to int) {
	s.Helper()
	for i := from; i < to; i++ {
		if got, want := s.next(), (sseFrame{fmt.Sprintf("e%d", i), eventN(i)}); got != want {
			s.Fatalf("frame %q, want %q", got, want)
		}
	}
}

// silent checks that nothing comes for a while but comments.
func (s *sse) silent(d time.Duration) {
	s.Helper()
	s.SetReadDeadline(time.Now().Add(d))
	defer s.SetDeadline(time.Now().Add(time.Minute))
	f, err := s.readFrame()
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		s.Fatalf("the stream is not silent: %q, %v", f, err)
	}
}

// wantEnd reads to the end that the relay made of the stream.
func (s *sse) wantEnd() {
	s.Helper()
	if f, err := s.readFrame(); err != io.EOF {
		s.Fatalf("the stream goes on, or does not end cleanly: %q, %v", f, err)
	}
}

// wantCut reads to the end of the connection, which is none of the stream.
func (s *sse) wantCut() {
	s.Helper()
	if f, err := s.readFrame(); err == nil || err == io.EOF {
		s.Fatalf("the stream goes on, or ends as a whole one: %q, %v", f, err)
	}
}

func (s *sse) close() { s.Conn.Close() }

// longPoll sends a pull and delivers its reply.
func (m mailbox) longPoll(query string) <-chan reply {
	m.Helper()
	return m.longPollOn(m.dial(), query)
}

func (m mailbox) longPollOn(w *wire, query string) <-chan reply {
	m.Helper()
	w.SetDeadline(time.Now().Add(2 * time.Minute))
	w.send("GET /v1/events/" + m.id + query + " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
	ch := make(chan reply, 1)
	go func() {
		r, err := w.tryReply("GET")
		if err != nil {
			r.body = err.Error()
		}
		ch <- r
	}()
	return ch
}

func TestStream_HeadAtOnceThenLive(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.fill(3)
	start := time.Now()
	s := m.stream("", "")
	if took := time.Since(start); took > 6*time.Second { // a heartbeat comes after 12 s
		t.Errorf("the head took %v", took)
	}
	s.silent(100 * time.Millisecond) // without a cursor nothing of before
	for i := 3; i < 8; i++ {
		m.post(eventN(i)).want(t, 201)
	}
	m.post(eventN(4)).want(t, 200) // a duplicate wakes nobody
	s.want(3, 8)
	s.silent(100 * time.Millisecond)
}

func TestStream_ExactBytes(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	want := ""
	for _, row := range []struct{ event, id string }{
		{`{"event_id":"plain","b":1,"a":1.0e0}`, "id: plain\n"},
		{`{"event_id":"","x":1}`, ""},
		{`{"event_id":7,"n":1}`, ""},
		{`{}`, ""},
		{`{"event_id":"a\nb"}`, ""},
		{`{"event_id":"a\rb"}`, ""},
		{`{"event_id":"a\u0000b"}`, ""},
		{`{"event_id":"a\u0001b"}`, ""},
		{`{"event_id":"a\u007f"}`, ""},
		{`{"event_id":"tab\there"}`, ""},
		{`{"event_id":" "}`, ""},
		{`{"event_id":"trail "}`, ""},
		{`{"event_id":"\u00e9\ud83d\ude00 😀\/"}`, "id: é😀 😀/\n"},
		{`{"event_id":": colon and blank"}`, "id: : colon and blank\n"},
		{`{"event_id":" lead"}`, ""},
		{`{"text":"line\nbreak\u2028  "}`, ""},
	} {
		m.post(row.event).want(t, 201)
		want += row.id + "data: " + row.event + "\n\n"
	}
	for _, s := range []*sse{m.stream("?since=nothing", ""), m.stream("", "Last-Event-ID: nothing")} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s.br, got); err != nil || string(got) != want {
			t.Errorf("replayed:\n%q, %v\nwant:\n%q", got, err, want)
		}
	}
	live := g.allocate()
	s := live.stream("", "")
	for _, e := range m.pull("") {
		live.post(e).want(t, 201)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(s.br, got); err != nil || string(got) != want {
		t.Errorf("live:\n%q, %v\nwant:\n%q", got, err, want)
	}
}

func TestStream_Resume(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	m.fill(10)
	m.post(`{"event_id":"od\u0064 ï","x":1}`).want(t, 201)
	for _, row := range []struct {
		query, header string
		from          int
	}{
		{"?since=e4", "", 5}, {"", "Last-Event-ID: e4", 5}, {"?since=e9", "", 10}, {"", "Last-Event-ID: e9", 10},
		{"?since=unknown", "", 0}, {"", "Last-Event-ID: unknown", 0}, {"?since=e1", "Last-Event-ID: e7", 8}, {"?since=%65%34", "", 5},
		{"?since=", "", 0}, {"?since", "", 0}, {"", "Last-Event-ID:", 0}, {"", "Last-Event-ID:   ", 0}, {"?since=e4", "Last-Event-ID:", 0},
		{"?since=", "Last-Event-ID: e7", 8}, {"", "Last-Event-ID:  \t e4\t ", 5}, {"", "last-event-id: e4", 5},
		{"", "Last-Event-ID: \xff\xe4", 0}, {"", "Last-Event-ID: " + strings.Repeat("e4", 100), 0},
	} {
		s := m.stream(row.query, row.header)
		s.want(row.from, 10)
		if f := s.next(); f.id != "odd ï" {
			t.Errorf("%s %s: then %q", row.query, row.header, f)
		}
		s.close()
	}
	for i, s := range []*sse{m.stream("?since=odd%20%C3%AF", ""), m.stream("", "Last-Event-ID: odd ï")} {
		s.silent(50 * time.Millisecond)
		if i == 1 {
			m.post(eventN(10)).want(t, 201)
		}
		defer s.want(10, 11)
	}
}

func TestStream_CommentWhenIdle(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(o *rigOptions) { o.relay.Heartbeat = 240 * time.Millisecond })
	m := g.allocate()
	// The contract's 12 s may be less (the first is the wheel's phase), and never as
	// much as the 30 s after which clients leave. A busy machine lets some come late, so
	// of some fours one has to be in time.
	const four = 4
	for try := 1; ; try++ {
		start := time.Now()
		s := m.stream("", "")
		for range four {
			line, err := s.br.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, ":") {
				t.Fatalf("%q, %v", line, err)
			}
		}
		took := time.Since(start)
		if took < (four-1)*200*time.Millisecond {
			t.Errorf("4 comments within %v with a heartbeat of 240 ms", took)
		}
		if took <= four*600*time.Millisecond {
			break
		}
		if try == 20 {
			t.Fatalf("4 comments took %v with a heartbeat of 240 ms", took)
		}
	}
}

func TestStream_ClientThatSpeaksIsEnded(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	s := m.stream("", "")
	s.send("GET /healthz HTTP/1.1\nHost: x\n\n")
	if f, err := s.readFrame(); err == nil {
		t.Errorf("got %q", f)
	}
	// What is pipelined behind the request for a stream goes with it, and the
	// stream stays whole.
	w := g.dial()
	w.send("GET /v1/events/" + m.id + "/stream HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\nGET /healthz HTTP/1.1\nHost: x\n\n")
	s2, _ := w.openStream()
	m.post(eventN(0)).want(t, 201)
	s2.want(0, 1)
	s2.close()
	g.eventually("both streams are gone", func() bool { return g.relay.streams.Len() == 0 })
	if n := g.relay.streams.Ended(stream.EndClient); n != 2 {
		t.Errorf("%d streams ended by the client, want 2", n)
	}
}

func TestStream_HalfOpenClient(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	s := m.stream("", "")
	s.Conn.(*net.TCPConn).CloseWrite()
	g.eventually("the half-closed stream ends", func() bool { return g.relay.streams.Len() == 0 })
	s.wantCut()
	// A reset ends it likewise.
	s = m.stream("", "")
	s.Conn.(*net.TCPConn).SetLinger(0)
	s.close()
	g.eventually("the reset stream ends", func() bool { return g.relay.streams.Len() == 0 })
	if n := g.store.Stats().Subscribers.Load(); n != 0 {
		t.Errorf("%d subscribers stay", n)
	}
}
