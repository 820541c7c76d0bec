package fasthttp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serveAdmin is the rig's operators' listener on a real socket.
func (g *rig) serveAdmin(opts AdminOptions) (a *Admin, addr string) {
	g.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.Fatal(err)
	}
	opts.Logger = slog.New(slog.DiscardHandler)
	a = ServeAdmin(ln, opts)
	a.Attach(g.relay)
	g.Cleanup(func() { a.Close() })
	return a, ln.Addr().String()
}

// Operators have so many connections, and a new one is always served: the
// oldest that has no request under way goes, whatever it has sent.
func TestAdmin_Connections(t *testing.T) {
	g := newRig(t)
	a, addr := g.serveAdmin(AdminOptions{Token: adminToken, MaxConns: 4})
	profile := dial(t, addr)
	profile.send("GET /debug/pprof/profile?seconds=2 HTTP/1.1\nHost: x\nAuthorization: Bearer " + adminToken + "\n\n")
	g.eventually("the profile is under way", func() bool {
		busy := false
		a.places.ledger.Victim(func(h *holder) bool { busy = h.Owner.(*place).busy.Load(); return false })
		return busy
	})
	for i, sent := range []string{
		"", "GET /metrics HTTP/1.1\nHo", "GET /metrics HTTP/1.1\nHost: x\n\n",
		"GET /healthz HTTP/1.1\nHost: x\nContent-Length: 1000\n\nx",
		"PUT /admin/v1/log-level HTTP/1.1\nHost: x\nContent-Length: 1000\n\nx",
	} {
		var held []*wire
		for range 10 {
			w := dial(t, addr)
			w.send(sent)
			held = append(held, w)
		}
		for _, path := range []string{"/healthz", "/metrics", "/readyz"} {
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := client.Get("http://" + addr + path)
			if err != nil || res.StatusCode != 200 {
				t.Fatalf("%d: %s: %v, %v", i, path, res, err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Errorf("%d: %s: %v", i, path, err)
			}
			res.Body.Close()
		}
		if n := a.places.ledger.Used(); n > 4 {
			t.Errorf("%d connections are open", n)
		}
		if _, err := io.Copy(io.Discard, held[0].br); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%d: the oldest connection: %v", i, err)
		}
	}
	if res, err := http.ReadResponse(profile.br, nil); err != nil || res.StatusCode != 200 {
		t.Errorf("the profile: %v, %v", res, err)
	} else if b, err := io.ReadAll(res.Body); err != nil || len(b) < 50 {
		t.Errorf("the profile: %d bytes, %v", len(b), err)
	}
	if n := metric(g, "cowrelay_admin_connections_max"); n != 4 {
		t.Errorf("metric: %v", n)
	}
}

// Who is slow is cut, wherever it stops; a profile takes the time that it was
// asked to take.
func TestAdmin_SlowClients(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const short = 300 * time.Millisecond
	a, addr := g.serveAdmin(AdminOptions{Level: new(slog.LevelVar), times: adminTimes{header: short, body: short, write: 4 * short, idle: short}})
	for what, sent := range map[string]string{
		"nothing": "", "half a head": "GET /metrics HTTP/1.1\nHo", "one request": "GET /healthz HTTP/1.1\nHost: x\n\n",
		"half a body":         "PUT /admin/v1/log-level HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/json\nContent-Length: 1000\n\n{",
		"a body nobody wants": "GET /healthz HTTP/1.1\nHost: x\nContent-Length: 1000\n\nx",
	} {
		w := dial(t, addr)
		w.send(sent)
		rest, err := io.ReadAll(w.br)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if what == "half a body" && !strings.HasPrefix(string(rest), "HTTP/1.1 408 ") {
			t.Errorf("%s: %.100q", what, rest)
		}
	}
	deaf := dial(t, addr)
	deaf.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	go io.WriteString(deaf.Conn, strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 1000))
	g.eventually("who does not read is cut", func() bool { return a.places.ledger.Used() == 0 })
	long := dial(t, addr)
	long.send("GET /debug/pprof/profile?seconds=1 HTTP/1.1\nHost: 127.0.0.1\n\n")
	res, err := http.ReadResponse(long.br, nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("a profile: %v, %v", res, err)
	}
	if b, err := io.ReadAll(res.Body); err != nil || len(b) < 50 {
		t.Errorf("a profile: %d bytes, %v", len(b), err)
	}
	big := dial(t, addr)
	big.send("GET /healthz HTTP/1.1\nHost: x\nX: " + strings.Repeat("x", 30_000) + "\n\n")
	if res, err := http.ReadResponse(big.br, nil); err != nil || res.StatusCode != 431 {
		t.Errorf("a head of 30,000 bytes: %v, %v", res, err)
	}
}

// Wrong tokens are answered slowly, and no more than a few wait for that; the
// right one is answered at once meanwhile, and a body is not waited for.
func TestAdmin_Guesses(t *testing.T) {
	g := newRig(t)
	a, addr := g.serveAdmin(AdminOptions{Token: adminToken})
	ask := func(token string) (int, http.Header) {
		req, _ := http.NewRequest("GET", "http://"+addr+"/admin/v1/status", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := g.client.Do(req)
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		res.Body.Close()
		return res.StatusCode, res.Header
	}
	withheld := dial(t, addr)
	withheld.send("POST /admin/v1/drain HTTP/1.1\nHost: x\nAuthorization: Bearer wrong\nContent-Length: 1000\n\n")
	withheld.SetDeadline(time.Now().Add(8 * time.Second)) // less than a body may take
	if res, err := http.ReadResponse(withheld.br, nil); err != nil || res.StatusCode != 401 {
		t.Errorf("a withheld body: %v, %v", res, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int]int{}
	for i := range 40 {
		wg.Go(func() {
			status, header := ask(fmt.Sprintf("guess-%d", i))
			mu.Lock()
			defer mu.Unlock()
			seen[status]++
			if status == 429 && header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
	for range 20 {
		if status, _ := ask(adminToken); status != 200 {
			t.Errorf("the right token: status %d", status)
		}
	}
	wg.Wait()
	if seen[401]+seen[429] != 40 || seen[429] < 5 {
		t.Errorf("statuses %v", seen)
	}
	if n := a.guesses.wrong.Load(); n != 41 {
		t.Errorf("%d wrong tokens counted", n)
	}
	// Without one nobody guesses.
	for range 30 {
		if status, _ := ask(""); status != 401 {
			t.Errorf("no token: status %d", status)
		}
	}
}

func TestGuesses_Limits(t *testing.T) {
	for _, c := range []struct{ clients, atOnce, later, refused int }{{1, 5, guessWaiters, 87}, {100, 20, guessWaiters, 72}} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuesses()
			began := time.Now()
			var mu sync.Mutex
			atOnce, later, refused := 0, 0, 0
			var wg sync.WaitGroup
			for i := range 100 {
				wg.Go(func() {
					f := g.refuse(t.Context(), clientKey(i%c.clients))
					mu.Lock()
					defer mu.Unlock()
					switch took := time.Since(began); {
					case f == errGuesses && took == 0:
						refused++
					case f == errAdminToken && took == 0:
						atOnce++
					case f == errAdminToken && took == guessDelay:
						later++
					default:
						t.Errorf("%v after %v", f, took)
					}
				})
			}
			wg.Wait()
			if atOnce != c.atOnce || later != c.later || refused != c.refused {
				t.Errorf("%d clients: %d answered at once, %d later, %d refused", c.clients, atOnce, later, refused)
			}
			// Who leaves is not waited for.
			for range 50 {
				g.clients.Allow(0, 0)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range 10 {
				g.refuse(ctx, 0)
			}
			if took := time.Since(began); took != guessDelay {
				t.Errorf("it took %v", took)
			}
		})
	}
}
