package life

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

var retryLine = regexp.MustCompile(`^retry: ([0-9]+)$`)

// An orderly end, by either signal: first /readyz says so, then the listener
// closes, streams end between frames with a retry line, long polls get an
// empty list, posts under way are answered, and the store is closed. --sync
// off shows the last: only a closed store keeps what was never synced.
func TestDrain_InOrder(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := relaytest.Start(t, dir, "--drain-delay=6s", "--drain-timeout=1m", "--sync=off")
			s := r.Allocate()
			for i := range 50 {
				r.Post(s, relaytest.Event("a", i, 300))
			}
			st := relaytest.MustStream(r, s, "from the beginning")
			idle := relaytest.MustStream(r, r.Allocate(), "")
			poll := make(chan string, 1)
			go func() {
				res, body, err := s.Send(relaytest.HTTPClient, "GET", r.EventsURL(s)+"?since=a-49&wait=25", nil)
				if err != nil || res.StatusCode != http.StatusOK {
					t.Errorf("long poll: %v %v", err, res)
				}
				poll <- string(body)
			}()
			slow := openPost(t, r, s, relaytest.Event("slow", 0, 300))
			awaitPoll(r)

			r.Signal(sig)
			// Within the delay new connections are served, and /readyz sends balancers elsewhere.
			awaitStatus(t, r.AdminURL+"/readyz", http.StatusServiceUnavailable)
			awaitStatus(t, r.URL+"/readyz", http.StatusServiceUnavailable)
			awaitStatus(t, r.URL+"/healthz", http.StatusOK)
			r.Post(s, relaytest.Event("late", 0, 300))

			for i := range 50 {
				if ev, err := st.Next(); err != nil || ev.Data != string(relaytest.Event("a", i, 300)) {
					t.Fatalf("%d: %v %v", i, ev, err)
				}
			}
			if ev, err := st.Next(); err != nil || ev.ID != "late-0" {
				t.Errorf("%v %v", ev, err)
			}
			endsWithRetry(t, st)
			endsWithRetry(t, idle)
			if body := <-poll; !strings.HasPrefix(body, `[{"event_id":"late-0"`) {
				t.Errorf("the long poll got %q", body)
			}
			if c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://")); err == nil {
				c.Close()
				t.Error("the listener is open")
			}
			slow.finish(t, http.StatusCreated)
			if code := r.Wait(time.Minute); code != 0 {
				t.Errorf("exit %d", code)
			}
			if r.Logged("stopped") == nil {
				t.Errorf("the log does not tell:\n%s", r.Log.String())
			}
			r = relaytest.Start(t, dir)
			if events := r.Pull(s, ""); len(events) != 52 || relaytest.EventID(events[51]) != "slow-0" {
				t.Errorf("%d events after the restart", len(events))
			}
			r.Stop()
		})
	}
}

// awaitPoll waits until a long poll waits.
func awaitPoll(r *relaytest.Relay) {
	r.T.Helper()
	for deadline := time.Now().Add(time.Minute); r.Metric("cowrelay_long_polls") != 1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.T.Fatal("no long poll waits")
		}
	}
}

// A long poll that waits when the listener closes gets an empty list.
func TestDrain_LongPollGetsNothing(t *testing.T) {
	t.Parallel()
	r := relaytest.Start(t, t.TempDir())
	s := r.Allocate()
	poll := make(chan string, 1)
	go func() {
		res, body, err := s.Send(relaytest.HTTPClient, "GET", r.EventsURL(s)+"?wait=25", nil)
		if err != nil {
			t.Error(err)
		} else if res.StatusCode != http.StatusOK || res.Header.Get("Content-Length") != "2" {
			t.Errorf("%s %v", res.Status, res.Header)
		}
		poll <- string(body)
	}()
	awaitPoll(r)
	began := time.Now()
	r.Stop()
	if body := <-poll; body != "[]" {
		t.Errorf("%q", body)
	}
	if took := time.Since(began); took > 20*time.Second { // the poll would wait for 25 s
		t.Errorf("an idle relay took %v to end", took)
	}
}

// Neither a stream that is not read nor a body that never ends holds it up.
func TestDrain_StalledClients(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	stalled, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	stalled.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(stalled, "GET /v1/events/%s/stream?since=x HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer %s\r\n\r\n", s.ID, s.Token)
	const events = 60
	for i := range events { // more than socket buffers hold
		r.Post(s, relaytest.Event("a", i, 200_000))
	}
	slow := openPost(t, r, s, relaytest.Event("slow", 0, 300))
	pull, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Close()
	pull.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(pull, "GET /v1/events/%s?limit=1000 HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer %s\r\n\r\n", s.ID, s.Token)
	time.Sleep(200 * time.Millisecond)

	r.Signal(syscall.SIGTERM)
	if code := r.Wait(time.Minute); code != 0 {
		t.Errorf("exit %d:\n%s", code, r.Log.String())
	}
	if r.Logged("stopped") == nil {
		t.Errorf("the log does not tell:\n%s", r.Log.String())
	}
	slow.conn.Close()
	r = relaytest.Start(t, dir)
	if n := len(r.Pull(s, "")); n != events {
		t.Errorf("%d events of %d", n, events)
	}
	r.Stop()
}

// A second signal ends at once, and what was acknowledged is there.
func TestDrain_SecondSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := relaytest.Start(t, dir, "--drain-timeout=60s")
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	slow := openPost(t, r, s, relaytest.Event("slow", 0, 300))
	defer slow.conn.Close()
	r.Signal(syscall.SIGTERM)
	for deadline := time.Now().Add(time.Minute); r.Logged("draining") == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no drain")
		}
	}
	r.Signal(syscall.SIGINT)
	if code := r.Wait(30 * time.Second); code != 1 {
		t.Errorf("exit %d", code)
	}
	relaytest.Contains(t, r.Log.String(), "second signal")
	r = relaytest.Start(t, dir)
	if n := len(r.Pull(s, "")); n != 1 {
		t.Errorf("%d events", n)
	}
	r.Stop()
}

// endsWithRetry: at most comments, then a retry line, then the end.
func endsWithRetry(t *testing.T, st *relaytest.Stream) {
	t.Helper()
	retry := false
	for {
		lines, err := st.Block()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Errorf("the stream ended badly: %v (%q)", err, lines)
			return
		}
		for _, l := range lines {
			if retryLine.MatchString(l) {
				retry = true
			} else if !strings.HasPrefix(l, ":") {
				t.Errorf("%q before the end", l)
			}
		}
	}
	if !retry {
		t.Error("no retry line")
	}
}

func awaitStatus(t *testing.T, url string, want int) {
	t.Helper()
	c, done := relaytest.NewClient()
	defer done()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		res, err := c.Get(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			return
		}
		res.Body.Close()
		if res.StatusCode == want {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %s", url, res.Status)
			return
		}
	}
}

// halfPost is a post of which a part is sent.
type halfPost struct {
	conn net.Conn
	rest []byte
}

func openPost(t *testing.T, r *relaytest.Relay, s relaytest.Slot, event []byte) halfPost {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := relaytest.PostBody(event)
	fmt.Fprintf(conn, "POST /v1/events/%s HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		s.ID, s.Token, len(body))
	if _, err := conn.Write(body[:20]); err != nil {
		t.Fatal(err)
	}
	return halfPost{conn, body[20:]}
}

// finish sends the rest and reads the reply.
func (p halfPost) finish(t *testing.T, want int) {
	t.Helper()
	p.conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := p.conn.Write(p.rest); err != nil {
		t.Error(err)
		return
	}
	res, err := http.ReadResponse(bufio.NewReader(p.conn), nil)
	if err != nil {
		t.Error(err)
		return
	}
	if res.StatusCode != want {
		body, _ := io.ReadAll(res.Body)
		t.Errorf("%s %s", res.Status, body)
	}
}
