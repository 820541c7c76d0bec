package fasthttp

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/limit"
)

// A connection with TLS whose client has said nothing holds up no hand-over.
func TestHandOver_SilentTLS(t *testing.T) {
	g := newRig(t, overTLS, func(o *rigOptions) { o.relay.HeaderTimeout = time.Hour })
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	g.eventually("it is accepted", func() bool { return g.relay.conns.Len() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if kept, err := g.relay.HandOver(ctx); err != nil || len(kept) != 0 {
		t.Errorf("%d connections are kept: %v", len(kept), err)
	}
	c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v", err)
	}
}

// A connection whose client a proxy has told keeps that client when another program
// serves it on, also behind a second one: for limits, and for the log.
func TestHandOver_ProxiedConnections(t *testing.T) {
	proxied := func(o *rigOptions) {
		rates, err := limit.ParseRates("other=0.001/1")
		if err != nil {
			t.Fatal(err)
		}
		o.relay.ProxyProtocol, o.relay.RateLimits, o.relay.AccessLog = true, &rates, true
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}
	log := new(lockedBuffer)
	logged := func(o *rigOptions) { o.relay.Logger = slog.New(slog.NewTextHandler(log, nil)) }
	rigs := []*rig{newRig(t, proxied), newRig(t, proxied), newRig(t, proxied, logged)}
	for _, g := range rigs {
		g.undescribed = true
	}
	const request = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
	ask := func(w *wire) int {
		t.Helper()
		io.WriteString(w.Conn, request)
		res, err := http.ReadResponse(w.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	// Two of one client, one of another, and one whose header is still to come.
	clients := []string{"192.0.2.1", "192.0.2.1", "2001:db8::7"}
	var conns []*wire
	for i, client := range clients {
		w := rigs[0].dial()
		kind := "TCP4 " + client + " 192.0.2.9"
		if strings.Contains(client, ":") {
			kind = "TCP6 " + client + " 2001:db8::9"
		}
		io.WriteString(w.Conn, "PROXY "+kind+" 1 2\r\n")
		if status, want := ask(w), []int{404, 429, 404}[i]; status != want {
			t.Fatalf("before: connection %d gets %d, want %d", i, status, want)
		}
		conns = append(conns, w)
	}
	late := rigs[0].dial()
	rigs[0].eventually("all are accepted", func() bool { return rigs[0].relay.conns.Len() == 4 })
	for i := range 2 {
		kept, err := rigs[i].relay.HandOver(t.Context())
		if err != nil || len(kept) != 4 {
			t.Fatalf("%d connections are kept: %v", len(kept), err)
		}
		next := rigs[i+1]
		go next.relay.Resume(kept)
		next.eventually("all are served on", func() bool { return next.relay.conns.Len() == 4 })
		for j, want := range []int{404, 429, 404} {
			if status := ask(conns[j]); status != want {
				t.Errorf("program %d: connection %d of %s gets %d, want %d", i+1, j, clients[j], status, want)
			}
		}
	}
	io.WriteString(late.Conn, "PROXY TCP4 192.0.2.3 192.0.2.9 1 2\r\n")
	if status := ask(late); status != 404 {
		t.Errorf("a connection that tells its client now gets %d", status)
	}
	for _, client := range []string{"192.0.2.1", "2001:db8::7", "192.0.2.3"} {
		rigs[2].eventually("the log has "+client, func() bool { return log.has("remote=" + client) })
	}
}
