package admin

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow"
	"cowrelay/cow/journaltest"
	"cowrelay/cow/rendezvous"
	"cowrelay/fasthttp/stats"
)

const adminToken = "an-admin-token-of-32-characters!"

// rig is a store in memory and a relay that shows nothing but what it is told.
// Whole relays, over HTTP, are in the tests of package fasthttp.
type rig struct {
	testing.TB
	store  *cow.Store
	desk   *rendezvous.Desk
	panics atomic.Int64
	log    logBook

	operators *stats.Operators
}

func newRig(t testing.TB) *rig {
	t.Helper()
	g := &rig{TB: t, operators: stats.NoOperators}
	m := journaltest.NewMemory()
	var err error
	if g.store, err = cow.Open(m, m, cow.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if g.desk, err = rendezvous.Open(g.store, rendezvous.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.desk.Close()
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
		if n := g.panics.Load(); n != 0 {
			t.Errorf("%d panics", n)
		}
		// Whatever operators send, their token is never logged.
		for i := range len(adminToken) - 16 {
			if text := g.log.String(); strings.Contains(text, adminToken[i:i+16]) {
				t.Fatalf("the log holds a part of the token:\n%s", text)
			}
		}
	})
	return g
}

func (g *rig) Desk() *rendezvous.Desk           { return g.desk }
func (g *rig) Figures() stats.Figures           { return stats.Figures{Version: "dev", Ready: true} }
func (g *rig) WriteMetrics(w io.Writer)         { stats.PrintAll(w, stats.MemoryFamilies(g.store)) }
func (g *rig) ShowOperators(o *stats.Operators) { g.operators = o }
func (g *rig) Faulted(where string, fault any)  { g.panics.Add(1); g.Logf("%s: %v", where, fault) }
func (g *rig) eventually(what string, ok func() bool) {
	g.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.Fatalf("not within a minute: %s", what)
		}
	}
}

// logBook keeps what is logged.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve is the listener on a real socket.
func (g *rig) serve(opts Options) (s *Server, addr string) {
	g.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	opts.Logger = slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s = Serve(ln, opts)
	s.Attach(g, g.store)
	g.Cleanup(func() { s.Close() })
	return s, ln.Addr().String()
}

// wire is a bare connection.
type wire struct {
	testing.TB
	net.Conn
	br *bufio.Reader
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReaderSize(c, 64<<10)}
}

// send writes; \n in s is sent as CR LF.
func (w *wire) send(s string) {
	w.Helper()
	if _, err := io.WriteString(w, strings.ReplaceAll(s, "\n", "\r\n")); err != nil {
		w.Fatalf("send: %v", err)
	}
}
