package life

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// What local-only mode serves, with the status of a bare request, and what it does
// not.
var localPaths = []struct {
	method, path, body string
	status             int
}{
	{"GET", "/healthz", "", 200},
	{"POST", "/v1/slot/allocate", "{}", 201},
	{"POST", "/v1/events/00000000000000000000000000000000", "{}", 401},
	{"GET", "/v1/events/00000000000000000000000000000000", "", 401},
	{"GET", "/v1/events/00000000000000000000000000000000/stream", "", 401},
	{"GET", "/v1/slot/00000000000000000000000000000000/state", "", 401},
	{"POST", "/v1/slot/00000000000000000000000000000000/responder-health", "{}", 401},
	{"DELETE", "/v1/slot/00000000000000000000000000000000", "", 401},
	{"GET", "/v1/slot/00000000000000000000000000000000/tokens", "", 401},
	{"POST", "/v1/slot/00000000000000000000000000000000/tokens/rotate", "{}", 401},
	{"DELETE", "/v1/slot/00000000000000000000000000000000/tokens/0123456789abcdef", "", 401},
	{"POST", "/v1/handle/claim", "{}", 401},
	{"DELETE", "/v1/handle/claim/paul", "", 404},

	{"GET", "/", "", 404},
	{"GET", "/readyz", "", 404},
	{"GET", "/stats", "", 404},
	{"GET", "/stats.json", "", 404},
	{"GET", "/stats.html", "", 404},
	{"GET", "/stats.history", "", 404},
	{"GET", "/openapi.yaml", "", 404},
	{"GET", "/phonebook", "", 404},
	{"GET", "/v1/handles", "", 404},
	{"GET", "/.well-known/wire/agent?handle=a", "", 404},
	{"GET", "/.well-known/agent-card.json?handle=a", "", 404},
	{"POST", "/v1/invite/register", "{}", 404},
	{"GET", "/i/0123456789abcdef", "", 404},
	{"GET", "//stats.json", "", 404},
}

// bySocket is a client that asks a Unix socket, whatever the URL.
func bySocket(path string) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

func checkLocalPaths(t *testing.T, client *http.Client, url string) {
	t.Helper()
	for _, c := range localPaths {
		var body []byte
		if c.body != "" {
			body = []byte(c.body)
		}
		res, text, err := relaytest.Slot{}.Send(client, c.method, url+c.path, body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != c.status || c.status >= 400 && !strings.HasPrefix(string(text), `{"error":`) {
			t.Errorf("%s %s: %s %s", c.method, c.path, res.Status, text)
		}
	}
}

func TestLocalOnly_Routes(t *testing.T) {
	r := relaytest.Start(t, t.TempDir(), "--local-only")
	checkLocalPaths(t, relaytest.HTTPClient, r.URL)
	s := r.Allocate()
	st := relaytest.MustStream(r, s, "")
	r.Post(s, relaytest.Event("a", 1, 300))
	if ev, err := st.Next(); err != nil || ev.ID == "" {
		t.Errorf("%v %v", ev, err)
	}
	if n := len(r.Pull(s, "")); n != 1 {
		t.Errorf("%d events", n)
	}
}

// An address that others can reach is refused before anything is touched.
func TestLocalOnly_PublicBind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, bind := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:8770", "10.1.2.3:8770", "192.168.1.1:0", "[2001:db8::1]:8770", "169.254.1.1:0"} {
		_, errs, code := relaytest.Finish(t, serveCommand(dir, "--local-only", "--bind="+bind))
		if code != 2 {
			t.Errorf("%s: exit %d", bind, code)
		}
		relaytest.Contains(t, errs, "--bind", bind, "--local-only serves this machine alone")
	}
	for _, args := range [][]string{{"check-config", "--local-only", "--bind=0.0.0.0:1"}, {"check-config", "--bind="}} {
		if out, errs, code := relaytest.Command(t, nil, args...); code != 2 || !strings.Contains(errs, "--bind") {
			t.Errorf("%v: exit %d, %s%s", args, code, out, errs)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the store was touched")
	}
	for _, bind := range []string{"127.0.0.1:0", "127.9.8.7:0", "localhost:0"} {
		relaytest.Start(t, t.TempDir(), "--local-only", "--bind="+bind).Stop()
	}
}

// socketDir is a folder of the test with a short name: a path of a socket may have
// 107 bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// rawReply sends one request and reads what comes until the relay closes.
func rawReply(t *testing.T, path, request string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v after %q", err, all)
	}
	return string(all)
}

// The socket is its owner's alone, serves the same store as TCP beside it, closes
// after each reply, and goes with the relay.
func TestUDS_BesideTCP(t *testing.T) {
	path := filepath.Join(socketDir(t), "made", "relay.sock")
	r := relaytest.Start(t, t.TempDir(), "--uds="+path, "--access-log")
	for name, mode := range map[string]fs.FileMode{path: 0o600 | fs.ModeSocket, filepath.Dir(path): 0o700 | fs.ModeDir} {
		if info, err := os.Lstat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	client := bySocket(path)
	checkLocalPaths(t, client, "http://relay")
	if body := (relaytest.Slot{}).MustSend(t, 200, "GET", r.URL+"/stats.json", nil); !strings.Contains(string(body), "uptime_seconds") {
		t.Errorf("TCP beside it serves less: %s", body)
	}
	s := r.Allocate()
	post := func(event []byte, status int) {
		t.Helper()
		res, text, err := s.Send(client, "POST", "http://relay/v1/events/"+s.ID, relaytest.PostBody(event))
		if err != nil || res.StatusCode != status || !res.Close {
			t.Errorf("%v, close %t, %s: %v", res.Status, res.Close, text, err)
		}
	}
	st := relaytest.MustStream(r, s, "")
	post(relaytest.Event("a", 1, 300), 201)
	post(relaytest.Event("a", 1, 300), 200)
	if ev, err := st.Next(); err != nil || ev.ID == "" {
		t.Errorf("%v %v", ev, err)
	}
	for i := range 40 { // a page that is written from the slot's own bytes
		post(relaytest.Event("big", i, 100_000), 201)
	}
	over := r.Pull(s, "")
	_, text, err := s.Send(client, "GET", "http://relay/v1/events/"+s.ID+"?limit=1000", nil)
	var page []json.RawMessage
	if err != nil || json.Unmarshal(text, &page) != nil || len(page) == 0 || string(page[len(page)-1]) != string(over[len(page)-1]) {
		t.Errorf("%d bytes, %d events: %v", len(text), len(page), err)
	}

	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
		"GET /healthz HTTP/1.0\r\n\r\n",
		"GET /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
		"no request\r\n\r\n",
		"POST /v1/slot/allocate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}",
		// A body that is refused by its header, and comes all the same.
		fmt.Sprintf("POST /v1/events/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n%3000000d", s.ID, 1),
	} {
		all := rawReply(t, path, request)
		if res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(all)), nil); err != nil || res.ContentLength < 0 || !res.Close && res.ProtoMinor == 1 {
			t.Errorf("%.40q: %.200q %v", request, all, err)
		}
	}

	// A stream by the socket.
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /v1/events/%s/stream HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer %s\r\n\r\n", s.ID, s.Token)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	own := &relaytest.Stream{Conn: c, R: bufio.NewReader(res.Body)}
	r.Post(s, relaytest.Event("live", 1, 300))
	if ev, err := own.Next(); err != nil || ev.ID == "" {
		t.Errorf("%v %v", ev, err)
	}
	if !strings.Contains(r.Log.String(), `"remote":"unix"`) {
		t.Error("the log does not say which requests came by the socket")
	}

	r.Stop()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket stays: %v", err)
	}
}

// Clients of the socket count for no rate limit. Those of TCP do here, as a proxy is
// trusted.
func TestUDS_Unlimited(t *testing.T) {
	path := filepath.Join(socketDir(t), "relay.sock")
	r := relaytest.Start(t, t.TempDir(), "--uds="+path, "--rate-limits=allocate=1/1,total=1/1", "--trusted-proxies=127.0.0.1")
	for range 20 {
		if res, text, err := (relaytest.Slot{}).Send(bySocket(path), "POST", "http://relay/v1/slot/allocate", []byte("{}")); err != nil || res.StatusCode != 201 {
			t.Fatalf("%v %s %v", res, text, err)
		}
	}
	last := 0
	for range 3 {
		req, err := http.NewRequest("POST", r.URL+"/v1/slot/allocate", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Forwarded-For", "192.0.2.1")
		res, err := relaytest.HTTPClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		last = res.StatusCode
	}
	if last != 429 {
		t.Errorf("TCP: %d", last)
	}
}

// Without TCP the socket is all there is. After kill -9 the next relay takes over
// the socket that was left.
func TestUDS_InsteadOfTCP(t *testing.T) {
	path, dir := filepath.Join(socketDir(t), "relay.sock"), t.TempDir()
	manager := relaytest.StartManager(t)
	for round := range 2 {
		r := relaytest.Start(t, dir, "--bind=", "--uds="+path)
		manager.Await(round+1, "WATCHDOG=1") // it asks itself, and answers
		checkLocalPaths(t, bySocket(path), "http://relay")
		env := []string{"COWRELAY_BIND=", "COWRELAY_ADMIN=", "COWRELAY_UDS=" + path}
		if out, errs, code := relaytest.Command(t, env, "health"); code != 0 || strings.TrimSpace(out) != "ok" {
			t.Errorf("health: exit %d, %s%s", code, out, errs)
		}
		r.Kill()
		if _, err := os.Lstat(path); err != nil {
			t.Error("kill -9 leaves no socket: this test shows nothing")
		}
	}
}

func TestUDS_Refused(t *testing.T) {
	base := socketDir(t)
	in := func(name string) string { return filepath.Join(base, name) }
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.Chmod(base, 0o700))
	do(os.WriteFile(in("file"), []byte("mine"), 0o600))
	do(os.Mkdir(in("folder"), 0o700))
	do(os.Symlink(in("file"), in("link")))
	do(os.Mkdir(in("open"), 0o700))
	do(os.Chmod(in("open"), 0o755))
	dir := filepath.Join(t.TempDir(), "data")
	for path, says := range map[string]string{
		in("file"):                   "something that is not a socket is there already",
		in("folder"):                 "something that is not a socket is there already",
		in("link"):                   "something that is not a socket is there already",
		in("open/relay.sock"):        "chmod 700 " + in("open"),
		in("file/relay.sock"):        in("file") + " is not a folder",
		in(strings.Repeat("x", 120)): "the system takes 107",
	} {
		refused(t, serveCommand(dir, "--uds="+path), "--uds: cannot listen on "+path, says)
	}
	if text, err := os.ReadFile(in("file")); err != nil || string(text) != "mine" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the store was touched")
	}

	r := relaytest.Start(t, t.TempDir(), "--uds="+in("live"))
	refused(t, serveCommand(dir, "--uds="+in("live")), "another process listens there")
	checkLocalPaths(t, bySocket(in("live")), "http://relay") // unharmed
	r.Stop()
}

// Of many relays that start at once over a socket that was left, one gets it.
func TestUDS_StartAtOnce(t *testing.T) {
	path := filepath.Join(socketDir(t), "relay.sock")
	relaytest.Start(t, t.TempDir(), "--uds="+path).Kill()
	var wg sync.WaitGroup
	var relays []*relaytest.Relay
	for range 4 {
		relays = append(relays, relaytest.New(t, t.TempDir(), "--bind=", "--uds="+path).Launch())
	}
	var mu sync.Mutex
	serving := 0
	for _, r := range relays {
		wg.Go(func() {
			for r.Logged("serving") == nil {
				select {
				case <-r.Exited:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
			mu.Lock()
			serving++
			mu.Unlock()
		})
	}
	wg.Wait()
	if serving != 1 {
		t.Errorf("%d relays serve", serving)
	}
	checkLocalPaths(t, bySocket(path), "http://relay")
}
