package fasthttp

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cowrelay/cow/invariants"
	"cowrelay/cow/rate"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// behindProxy makes the test's own address a trusted proxy, with a clock that
// stands still.
func behindProxy(clock *atomic.Int64, limits string) func(*rigOptions) {
	return func(o *rigOptions) {
		o.relay.now = clock.Load
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		l, err := limit.ParseRates(limits)
		if err != nil {
			panic(err)
		}
		o.relay.RateLimits = &l
	}
}

const xff = "X-Forwarded-For"

// limitedAfter counts the requests that pass, and checks the 429 behind them.
func limitedAfter(t testing.TB, most int, send func() reply) (passed int) {
	t.Helper()
	for ; passed <= most; passed++ {
		r := send()
		if r.status != 429 {
			continue
		}
		if after := r.header.Get("Retry-After"); after != "1" {
			t.Errorf("429 with Retry-After %q", after)
		}
		return passed
	}
	return passed
}

// The contract: 10 a second, 50 at once, for each address; loopback exempt.
func TestLimits_Allocate(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, ""))
	from := func(addr string) func() reply {
		return func() reply { return g.call("POST", "/v1/slot/allocate", "", "{}", xff, addr) }
	}
	pass := func(what, addr string, want int) {
		t.Helper()
		if n := limitedAfter(t, want, from(addr)); n != want {
			t.Errorf("%s: %d allocations, want %d", what, n, want)
		}
	}
	pass("at first", "192.0.2.1", 50)
	pass("again at once", "192.0.2.1", 0)
	pass("another address", "192.0.2.2", 50)
	pass("written in another way", "::ffff:192.0.2.2", 0)
	pass("a host", "2001:db8::1", 50)
	pass("in the same /64", "2001:db8::ffff:1", 0)
	pass("in another /64", "2001:db8:0:1::1", 50)
	clock.Add(int64(time.Second))
	pass("after a second", "192.0.2.1", 10)
	clock.Add(int64(time.Hour))
	pass("after an hour", "192.0.2.1", 50)
	for range 60 {
		g.allocate() // from loopback
	}
	if n := metric(g, `cowrelay_rate_limited_total{class="allocate"}`); n != 9 {
		t.Errorf("%v refused, by the metric", n)
	}
	if n := metric(g, "cowrelay_rate_keys"); n != 4 {
		t.Errorf("%v keys, by the metric", n)
	}
}

// A proxy on loopback lends its exemption to nobody, whatever the header says.
func TestLimits_NoExemptionByHeader(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "read=1/3"))
	m := g.allocate()
	for i, header := range []string{"127.0.0.1", "127.1.2.3", "::1", "localhost", "127.0.0.1, 127.0.0.1", "[::1]:80", "::ffff:127.0.0.5", "0:0:0:0:0:0:0:1"} {
		clock.Add(int64(time.Hour))
		if n := limitedAfter(t, 3, func() reply { return m.call("GET", "/v1/events/"+m.id, m.token, nil, xff, header) }); n != 3 {
			t.Errorf("%d: %s: %d requests, want 3", i, header, n)
		}
	}
	for range 20 { // the proxy's own
		m.pull("")
	}
}

// What no trusted proxy says is nothing: a peer on loopback is exempt, and its
// headers are not looked at.
func TestLimits_HeadersOfStrangers(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "allocate=1/3"), func(o *rigOptions) { o.relay.TrustedProxies = nil })
	for range 20 {
		g.call("POST", "/v1/slot/allocate", "", "{}", xff, "192.0.2.1", "Fly-Client-IP", "192.0.2.1").want(t, 201)
	}
	if n := metric(g, "cowrelay_rate_keys"); n != 0 {
		t.Errorf("%v keys", n)
	}
}

// Which limit each request counts for, and that it is asked first.
func TestLimits_Classes(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "allocate=1/1,post=1/2,read=1/3,stream=1/4,other=1/5"))
	m := g.allocate()
	events, slot := "/v1/events/"+m.id, "/v1/slot/"+m.id
	event := `{"event":{}}`
	n := 0
	for _, c := range []struct {
		method, path, token string
		body                any
		pass, status        int
	}{
		{"POST", "/v1/slot/allocate", "", "{}", 1, 201},
		{"POST", "/v1/slot/allocate", "", "no JSON", 1, 400},
		{"GET", "/v1/slot/allocate", "", nil, 5, 405},
		{"POST", events, m.token, event, 2, 201},
		{"POST", events, noToken, event, 2, 403},
		{"POST", events, "", event, 2, 401},
		{"POST", "/v1/events/" + noSlot, m.token, event, 2, 404},
		{"POST", slot + "/responder-health", m.token, `{"status":"up","set_at":"now"}`, 2, 200},
		{"POST", "/v1/slot/x/responder-health", m.token, `{}`, 2, 400},
		{"DELETE", slot, noToken, nil, 2, 403},
		{"GET", events, m.token, nil, 3, 200},
		{"HEAD", events, m.token, nil, 3, 200},
		{"GET", events, noToken, nil, 3, 403},
		{"GET", events + "?limit=x", m.token, nil, 3, 400},
		{"GET", slot + "/state", m.token, nil, 3, 200},
		{"HEAD", slot + "/state", "", nil, 3, 401},
		{"HEAD", events + "/stream", "", nil, 4, 401},
		{"GET", events + "/stream", noToken, nil, 4, 403},
		{"GET", "/stats.json", "", nil, 5, 200},
		{"GET", "/nothing", "", nil, 5, 404},
		{"PUT", events, m.token, event, 5, 405},
		{"OPTIONS", events, "", nil, 5, 405},
		{"GET", "/healthz", "", nil, 20, 200},
		{"HEAD", "/readyz", "", nil, 20, 200},
		{"POST", "/healthz", "", "{}", 20, 405},
	} {
		n++
		addr := fmt.Sprintf("198.51.100.%d", n)
		for i := range c.pass {
			if r := g.call(c.method, c.path, c.token, c.body, xff, addr); r.status != c.status {
				t.Errorf("%s %s, %d: status %d, want %d", c.method, c.path, i, r.status, c.status)
			}
		}
		want := 429
		if c.pass == 20 {
			want = c.status
		}
		r := g.call(c.method, c.path, c.token, c.body, xff, addr).want(t, want)
		if want == 429 && (r.header.Get("Retry-After") != "1" || r.header.Get("Content-Type") != "application/json") {
			t.Errorf("%s %s: %v", c.method, c.path, r.header)
		}
	}
}

// All classes of a client have their own limit, and one is counted once,
// however its body comes, and refused before it.
func TestLimits_DecidedByTheHeadAlone(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "post=1/1"))
	m := g.allocate()
	n := 0
	for framing, lines := range framings {
		n++
		from := fmt.Sprintf("\n%s: 203.0.113.%d\n", xff, n)
		head := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token + from
		w := g.dial()
		w.send(head + "Transfer-Encoding: chunked\n\nc\n{\"event\":{}}\n0\n\n")
		w.reply("POST").want(t, 201)
		w.send(head + lines + "\n") // on the same connection
		if r := w.reply("POST").want(t, 429); !r.close {
			t.Errorf("%s: no Connection: close", framing)
		}
		w.ends()
	}
	// A body that the reply doesn't wait for, and one that comes with the header.
	w := g.dial()
	body := `{"event":{}}`
	for i := range 3 {
		w.send(fmt.Sprintf("POST /v1/events/%s HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer %s\n%s: 203.0.113.%d\nContent-Length: %d\n\n%s",
			m.id, m.token, xff, 100+i, len(body), body))
		w.reply("POST").want(t, 201)
	}
}

// Many connections at once never pass more than one connection does.
func TestLimits_ManyConnections(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "post=1/40,read=1/40"))
	m := g.allocate()
	var posts, reads atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 12 {
				r, err := g.tryCall("POST", "/v1/events/"+m.id, m.token, `{"event":{}}`, xff, "192.0.2.1")
				if err == nil && r.status == 201 {
					posts.Add(1)
				}
				if r, err = g.tryCall("GET", "/v1/events/"+m.id, m.token, nil, xff, "192.0.2.1"); err == nil && r.status == 200 {
					reads.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if posts.Load() != 40 || reads.Load() != 40 {
		t.Errorf("%d posts and %d reads passed, want 40", posts.Load(), reads.Load())
	}
}

// The ceiling over all: who is refused alone takes nothing from the others.
func TestLimits_Total(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "other=0.1/2,total=1/5"))
	from := func(i int) reply { return g.call("GET", "/stats.json", "", nil, xff, fmt.Sprintf("192.0.2.%d", i)) }
	for range 20 {
		if r := from(1); r.status == 429 && r.header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After %v", r.header)
		}
	}
	for i := range 3 {
		from(2+i).want(t, 200)
	}
	r := from(9).want(t, 429)
	if r.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %v", r.header)
	}
	g.call("GET", "/healthz", "", nil, xff, "192.0.2.9").want(t, 200)
	g.call("GET", "/stats.json", "", nil).want(t, 200)
	clock.Add(int64(time.Second))
	from(10).want(t, 200)
	if n := metric(g, `cowrelay_rate_limited_total{class="total"}`); n != 1 {
		t.Errorf("%v refused by the ceiling, by the metric", n)
	}
}

// New settings count from the next request on. A limit that stays the same
// keeps what it knows.
func TestLimits_SetLive(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "read=1/3,other=1/3"))
	m := g.allocate()
	read := func() reply { return m.call("GET", "/v1/events/"+m.id, m.token, nil, xff, "192.0.2.1") }
	other := func() reply { return m.call("GET", "/stats.json", "", nil, xff, "192.0.2.1") }
	if a, b := limitedAfter(t, 3, read), limitedAfter(t, 3, other); a != 3 || b != 3 {
		t.Fatalf("%d and %d passed", a, b)
	}
	live := *g.relay.live.Load()
	limits := *live.RateLimits
	limits[limit.Other] = rate.PerSecond(1, 7)
	live.RateLimits = &limits
	g.relay.SetLive(live)
	if a, b := limitedAfter(t, 9, read), limitedAfter(t, 9, other); a != 0 || b != 7 {
		t.Errorf("%d and %d passed, want 0 and 7", a, b)
	}
	live.TrustedProxies = nil
	g.relay.SetLive(live)
	read().want(t, 200)
}

// A million clients leave no more than their bound.
func TestLimits_MemoryIsBounded(t *testing.T) {
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, "total=0"))
	w := g.dial()
	req := request{conn: g.relay.conns.Open(tcpOf(t, w), conn.Prologue{})}
	h := headerOf(t, "")
	h.SetRequestURI("/v1/events/" + noSlot)
	clients := 1_000_000
	if invariants.Enabled {
		clients = 100_000
	}
	var addr []byte
	for i := range clients {
		clock.Add(1000)
		addr = fmt.Appendf(addr[:0], "2001:db8:%x:%x::1", i>>16, i&0xffff)
		h.SetBytesV(xff, addr)
		if _, refused := g.relay.admit(h, &req); refused != refusal.NoBearer {
			t.Fatal(refused)
		}
	}
	if n := metric(g, "cowrelay_rate_keys"); n != limit.MaxClients {
		t.Errorf("%v keys, want %d", n, limit.MaxClients)
	}
}

// The log names the client.
func TestLimits_AccessLog(t *testing.T) {
	var mu sync.Mutex
	var text bytes.Buffer
	var clock atomic.Int64
	g := newRig(t, behindProxy(&clock, ""), func(o *rigOptions) {
		o.relay.AccessLog = true
		o.relay.Logger = slog.New(slog.NewTextHandler(lockedWriter{&mu, &text}, nil))
	})
	g.call("GET", "/stats.json", "", nil, xff, "192.0.2.66, 192.0.2.1").want(t, 200)
	g.call("GET", "/stats.json", "", nil).want(t, 200)
	g.call("GET", "/healthz", "", nil).want(t, 200)
	g.call("HEAD", "/healthz", "", nil).want(t, 200)
	bytes := func(line string) string { // of the last line that holds this
		mu.Lock()
		defer mu.Unlock()
		_, rest, _ := strings.Cut(text.String()[max(strings.LastIndex(text.String(), line), 0):], " bytes=")
		n, _, _ := strings.Cut(rest, " ")
		return n
	}
	g.eventually("short replies have their length", func() bool {
		return bytes("method=GET path=/healthz") == "3" && bytes("method=HEAD path=/healthz") == "0"
	})
	if n := bytes("path=/stats.json"); len(n) < 3 {
		t.Errorf("bytes of /stats.json: %q", n)
	}
	g.eventually("both are logged", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(text.String(), "remote=192.0.2.1\n") && strings.Contains(text.String(), "remote=127.0.0.1:")
	})
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// The server hands over a header that is a part of its context.
func TestLimits_ConnOfHeader(t *testing.T) {
	var ctx fasthttp.RequestCtx
	c := new(conn.Conn)
	ctx.Init2(c, nil, false)
	if connOf(&ctx.Request.Header) != c {
		t.Error("another connection")
	}
}

func headerOf(t testing.TB, lines string) *fasthttp.RequestHeader {
	t.Helper()
	h := new(fasthttp.RequestHeader)
	h.SetMethod("GET")
	h.SetRequestURI("/")
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

func tcpOf(t testing.TB, w *wire) *net.TCPConn {
	t.Helper()
	tcp, ok := w.Conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", w.Conn)
	}
	return tcp
}
