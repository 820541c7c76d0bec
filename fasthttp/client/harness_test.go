package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
	"cowrelay/cow/engine"
	"cowrelay/cow/rendezvous"
	relayhttp "cowrelay/fasthttp"
	"cowrelay/fasthttp/client"
)

// rig is a whole relay on a store in memory, which can go away and come back at
// the same address.
type rig struct {
	testing.TB
	fs     vfs.FS
	pages  int // bytes of a page
	addr   string
	relay  *relayhttp.Relay
	store  *cow.Store
	desk   *rendezvous.Desk
	log    *engine.Journal
	served chan error
	ln     *tracker
}

// tracker knows the connections that it accepted, so that they end with the
// relay as they would with its process.
type tracker struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *tracker) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, c)
		l.mu.Unlock()
	}
	return c, err
}

func (l *tracker) closeConns() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
}

func newRig(t testing.TB, pageBytes int) *rig {
	t.Helper()
	g := &rig{TB: t, fs: vfs.NewMem(), pages: pageBytes, addr: "127.0.0.1:0"}
	g.start()
	t.Cleanup(func() {
		if g.relay != nil {
			g.stop()
		}
	})
	return g
}

func (g *rig) start() {
	g.Helper()
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if g.log, err = engine.Open("data", engine.Options{FS: g.fs, CacheBytes: 4 << 20, MemTableBytes: 4 << 20, SegmentBytes: 256 << 10, Logger: quiet}); err != nil {
		g.Fatal(err)
	}
	if g.store, err = cow.Open(g.log, g.log, cow.Options{PageBytes: g.pages, Logger: quiet}); err != nil {
		g.Fatal(err)
	}
	desk, err := rendezvous.Open(g.store, rendezvous.Options{Logger: quiet})
	if err != nil {
		g.Fatal(err)
	}
	g.desk = desk
	g.relay = relayhttp.NewRelay(g.store, relayhttp.Options{Desk: desk, Logger: quiet})
	ln, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.Fatal(err)
	}
	g.addr = ln.Addr().String()
	g.served = make(chan error, 1)
	g.ln = &tracker{Listener: ln}
	relay, served, own := g.relay, g.served, g.ln
	go func() { served <- relay.Serve(own) }()
	eventually(g, "the relay serves", g.relay.Ready)
}

func (g *rig) stop() {
	g.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := g.relay.Drain(ctx, 0); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		g.Errorf("drain: %v", err)
	}
	<-g.served
	g.ln.closeConns()
	g.relay = nil
	g.desk.Close()
	if err := errors.Join(g.store.Close(), g.log.Close()); err != nil {
		g.Errorf("close: %v", err)
	}
}

func (g *rig) client(edit ...func(*client.Options)) *client.Client {
	g.Helper()
	return newClient(g, "http://"+g.addr, edit...)
}

// newClient returns a client that does not wait long.
func newClient(t testing.TB, url string, edit ...func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{MinWait: time.Millisecond, MaxWait: 50 * time.Millisecond, MaxRetry: 50 * time.Millisecond, Timeout: 20 * time.Second}
	for _, f := range edit {
		f(&o)
	}
	c, err := client.New(url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func impatient(o *client.Options) { o.RetryFor = -1 }

func (g *rig) allocate(c *client.Client) *client.Slot {
	g.Helper()
	s, err := c.Allocate(g.Context())
	if err != nil {
		g.Fatal(err)
	}
	return s
}

// fake serves what a test wants; its count is of requests.
type fake struct {
	*httptest.Server
	requests atomic.Int64
}

func newFake(t *testing.T, serve func(n int, w http.ResponseWriter, r *http.Request)) *fake {
	t.Helper()
	f := new(fake)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // until then the server does not see a client leave
		if r.URL.Query().Get("limit") == "0" {
			w.Write([]byte("[]")) // it has no positions
			return
		}
		serve(int(f.requests.Add(1)), w, r)
	}))
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// plain returns the URL of a relay before the rig's that lacks what section 8 of the
// contract adds: it passes over the queries, knows neither batches nor tokens, and
// says nothing of positions.
func (g *rig) plain() string {
	g.Helper()
	relay := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.addr})
	relay.FlushInterval = -1
	relay.ErrorLog = log.New(io.Discard, "", 0)
	relay.ModifyResponse = func(res *http.Response) error {
		for _, name := range []string{"Relay-Next", "Relay-End"} {
			res.Header.Del(name)
		}
		return nil
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		for _, name := range []string{"from", "last", "ids", "wait"} {
			q.Del(name)
		}
		r.URL.RawQuery = q.Encode()
		switch {
		case strings.Contains(r.URL.Path, "/tokens"):
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json":
			http.Error(w, "Expected request with `Content-Type: application/json`", http.StatusUnsupportedMediaType)
		default:
			relay.ServeHTTP(w, r)
		}
	}))
	g.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// withID and without are the n-th event of a test.
func withID(n int) json.RawMessage  { return fmt.Appendf(nil, `{"event_id":"e%d","n":%d}`, n, n) }
func without(n int) json.RawMessage { return fmt.Appendf(nil, `{"n":%d}`, n) }

func mustPost(t testing.TB, s *client.Slot, events ...json.RawMessage) {
	t.Helper()
	for _, e := range events {
		if _, err := s.Post(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// pull returns the events behind a cursor.
func pull(t testing.TB, s *client.Slot, from client.Cursor, most int) (list []string) {
	t.Helper()
	for e, err := range s.Pull(t.Context(), from, most) {
		if err != nil {
			t.Fatalf("after %d events: %v", len(list), err)
		}
		list = append(list, string(e.JSON))
	}
	return list
}

func texts(events []json.RawMessage) (list []string) {
	for _, e := range events {
		list = append(list, string(e))
	}
	return list
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %d events %.300q, want %d %.300q", what, len(got), got, len(want), want)
	}
}
