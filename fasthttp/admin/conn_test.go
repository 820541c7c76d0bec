package admin

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Operators have so many connections, and a new one is always served: the
// oldest that has no request under way goes, whatever it has sent.
func TestAdmin_Connections(t *testing.T) {
	g := newRig(t)
	s, addr := g.serve(Options{Token: adminToken, MaxConns: 4})
	profile := dial(t, addr)
	profile.send("GET /debug/pprof/profile?seconds=2 HTTP/1.1\nHost: x\nAuthorization: Bearer " + adminToken + "\n\n")
	g.eventually("the profile is under way", func() bool {
		return s.places.Busy() == 1
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
		if i == 2 { // whole requests: a connection that is being served does not give way
			if _, err := http.ReadResponse(held[len(held)-1].br, nil); err != nil {
				t.Errorf("%d: the newest connection: %v", i, err)
			}
			g.eventually("these are answered", func() bool { return s.places.Busy() == 1 })
			// While they were answered they may have kept their places, the oldest
			// too. Now they have to leave.
			for range 4 {
				dial(t, addr)
			}
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
		if n := s.places.Used(); n > 4 {
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
	if n := g.operators.MaxConnections(); n != 4 || g.operators.Connections() == 0 {
		t.Errorf("the relay shows %v connections at most", n)
	}
}

// A slow client is cut, wherever it stops; a profile takes the time that it was
// asked to take.
func TestAdmin_SlowClients(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	const short = 300 * time.Millisecond
	s, addr := g.serve(Options{Level: new(slog.LevelVar), times: times{header: short, body: short, write: 4 * short, idle: short}})
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
	g.eventually("a client that does not read is cut", func() bool { return s.places.Used() == 0 })
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
