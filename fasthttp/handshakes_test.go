package fasthttp

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
)

// A client that begins more handshakes than it may is closed before one costs anything,
// counted and told of once. Another client's go on, and so do those of this machine and
// of a proxy that tells no client.
func TestTLS_HandshakesOfAClient(t *testing.T) {
	var clock atomic.Int64
	log := new(lockedBuffer)
	g := newRig(t, overTLS, func(o *rigOptions) {
		rates, err := limit.ParseRates("handshake=1/3")
		if err != nil {
			t.Fatal(err)
		}
		o.relay.now, o.relay.RateLimits, o.relay.ProxyProtocol = clock.Load, &rates, true
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.relay.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	shake := func(header string) error {
		t.Helper()
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, header)
		client := tls.Client(c, clientTLS)
		if err := client.Handshake(); err != nil {
			return err
		}
		io.WriteString(client, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_, err = io.ReadAll(client)
		return err
	}
	const one, two, here = "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n", "PROXY TCP4 192.0.2.2 192.0.2.9 1 2\r\n", "PROXY TCP4 127.0.0.1 192.0.2.9 1 2\r\n"
	for _, row := range []struct {
		header string
		good   int // of 5
	}{{one, 3}, {two, 3}, {here, 3}, {"", 5}, {"PROXY UNKNOWN\r\n", 5}} {
		good := 0
		for range 5 {
			if shake(row.header) == nil {
				good++
			}
		}
		if good != row.good {
			t.Errorf("%q: %d of 5 handshakes, want %d", row.header, good, row.good)
		}
	}
	if n := g.relay.conns.Handshakes()[conn.HandshakeRate].Load(); n != 6 {
		t.Errorf("%d handshakes were refused", n)
	}
	if n := metric(g, `cowrelay_rate_limited_total{class="handshake"}`); n != 6 {
		t.Errorf("%v are counted", n)
	}
	if !log.has("client=192.0.2.1 refused=1") || !log.has("--rate-limits") || log.has("refused=2") {
		t.Errorf("the log: %s", log.String())
	}
	clock.Add(int64(time.Second))
	if err := shake(one); err != nil {
		t.Errorf("a second later: %v", err)
	}
	// Another limit holds at once.
	wide, err := limit.ParseRates("handshake=0")
	if err != nil {
		t.Fatal(err)
	}
	live := *g.relay.live.Load()
	live.RateLimits = &wide
	g.relay.SetLive(live)
	for range 10 {
		if err := shake(one); err != nil {
			t.Fatalf("without a limit: %v", err)
		}
	}
}
