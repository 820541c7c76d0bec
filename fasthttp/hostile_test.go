package fasthttp

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// healthy checks that the relay still serves, and holds no connection that it
// should have let go.
func (g *rig) healthy() {
	g.Helper()
	g.client.CloseIdleConnections()
	w := g.dial()
	w.send("GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n")
	w.reply("GET").want(g, 200)
	g.eventually("connections are let go", func() bool { return g.relay.conns.Len() <= 1 })
	if n := g.relay.panics.Load(); n != 0 {
		g.Fatalf("%d panics", n)
	}
}

// shortTimes are short enough to wait for, and long enough for a large body on a
// busy machine.
func shortTimes(o *rigOptions) {
	o.relay.HeaderTimeout = time.Second
	o.relay.BodyTimeout = 2 * time.Second
	o.relay.IdleTimeout = 2 * time.Second
}

func TestHostile_Heads(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes)
	m := g.allocate()
	auth := "Authorization: Bearer " + m.token + "\n"
	post := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\n" + auth
	body := `{"event":{}}`
	for _, row := range []struct {
		name, send string
		status     int
	}{
		{"oversize header", "GET /healthz HTTP/1.1\nHost: x\nX: " + strings.Repeat("a", 64<<10) + "\n\n", 431},
		{"many headers", "GET /healthz HTTP/1.1\nHost: x\n" + strings.Repeat("X: aaaaaaaaaaaaaaaa\n", 4000) + "\n", 431},
		{"oversize target", "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\nHost: x\n\n", 431},
		{"no request line", "hello\n\n", 400},
		{"no version", "GET /healthz\nHost: x\n\n", 400},
		{"wrong version", "GET /healthz HTTP/9.9x\nHost: x\n\n", 400},
		{"blank in the target", "GET /heal thz HTTP/1.1\nHost: x\n\n", 400},
		{"binary", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400},
		{"control byte in the target", "GET /heal\x00thz HTTP/1.1\nHost: x\n\n", 400},
		{"header without colon", "GET /healthz HTTP/1.1\nHost: x\nnonsense\n\n", 400},
		{"blank before the colon", "POST /v1/slot/allocate HTTP/1.1\nHost: x\nContent-Length : 2\n\n{}", 400},
		{"control byte in a header", "GET /healthz HTTP/1.1\nHost: x\nX: a\x01b\n\n", 400},
		{"bare LF in a header", "GET /healthz HTTP/1.1\nHost: x\nX: a\x00\n\n", 400},
		{"two hosts", "GET /healthz HTTP/1.1\nHost: x\nHost: y\n\n", 400},
		{"negative length", post + "Content-Length: -1\n\n" + body, 400},
		{"length with a sign", post + "Content-Length: +12\n\n" + body, 400},
		{"length in hex", post + "Content-Length: 0xc\n\n" + body, 400},
		{"length of no number", post + "Content-Length: a\n\n" + body, 400},
		{"empty length", post + "Content-Length: \n\n" + body, 400},
		{"huge length", post + "Content-Length: 99999999999999999999999\n\n" + body, 400},
		{"large length", post + "Content-Length: 9223372036854775807\n\n" + body, 413},
		{"two lengths", post + "Content-Length: 12\nContent-Length: 5\n\n" + body, 400},
		{"list of lengths", post + "Content-Length: 12, 12\n\n" + body, 400},
		{"unknown coding", post + "Transfer-Encoding: gzip\n\n" + body, 400},
		{"coding hidden by another", post + "Transfer-Encoding: chunked, identity\n\n" + body, 400},
		{"two codings", post + "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n" + body, 400},
		{"coding with a tab", post + "Transfer-Encoding: xchunked\n\n" + body, 400},
		{"chunked in HTTP/1.0", strings.Replace(post, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\n\n0\n\n", 400},
		{"chunk size of no number", post + "Transfer-Encoding: chunked\n\nzz\n" + body + "\n0\n\n", 400},
		{"negative chunk size", post + "Transfer-Encoding: chunked\n\n-1\n" + body + "\n0\n\n", 400},
		{"huge chunk size", post + "Transfer-Encoding: chunked\n\nffffffffffffffffff\n" + body + "\n0\n\n", 400},
		{"chunk without its end", post + "Transfer-Encoding: chunked\n\nc\n" + body + "xx0\n\n", 400},
		{"slow header", "GET /healthz HTTP/1.1\nHost: x\nX: a", 408},
		{"half a request line", "GET /hea", 408},
		{"slow small body", post + "Content-Length: 100\n\n" + body, 408},
		{"slow large body", post + "Content-Length: 100000\n\n" + body, 408},
		{"slow chunked body", post + "Transfer-Encoding: chunked\n\nc\n" + body, 408},
		{"slow chunk size", post + "Transfer-Encoding: chunked\n\nc", 408},
	} {
		w := g.dial()
		start := time.Now()
		w.send(row.send)
		r := w.reply("POST")
		if r.status != row.status || !r.close {
			t.Errorf("%s: status %d, want %d; close %v: %s", row.name, r.status, row.status, r.close, r.body)
		}
		took := time.Since(start)
		if slow := strings.Contains(row.name, "slow"); slow && took < 300*time.Millisecond || took > 8*time.Second {
			t.Errorf("%s: answered after %v", row.name, took)
		}
		w.Close()
	}
	if got := m.pull(""); len(got) != 0 {
		t.Errorf("a hostile post was stored: %v", got)
	}
	g.healthy()
}

// A header that drips in, each byte well in time, is cut at the header timeout
// all the same; so is a body.
func TestHostile_Drip(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes)
	m := g.allocate()
	head := "POST /v1/events/" + m.id + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + m.token + "\r\nContent-Length: 9000\r\n\r\n"
	for name, first := range map[string]string{"header": "GET /healthz HTTP/1.1\r\nX: ", "body": head + `{"event":`} {
		w := g.dial()
		start := time.Now()
		if _, err := w.Write([]byte(first)); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 1000 { // 20 s
				if _, err := w.Write([]byte(" ")); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		w.reply("POST").want(t, 408)
		if took := time.Since(start); took < 300*time.Millisecond || took > 10*time.Second {
			t.Errorf("%s: cut after %v", name, took)
		}
		w.Close()
	}
	g.healthy()
}

// Whatever a request smuggles behind an ambiguous length, it is not served as a
// request of its own.
func TestHostile_Smuggling(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes)
	m := g.allocate()
	inner := "POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nAuthorization: Bearer " + m.token +
		"\nContent-Length: 33\n\n" + `{"event":{"event_id":"smuggled"}}`
	outer := "POST /v1/slot/allocate HTTP/1.1\nHost: x\nContent-Type: application/json\n"
	for i, send := range []string{
		outer + "Content-Length: 5\nTransfer-Encoding: chunked\n\n0\n\n" + inner,
		outer + "Transfer-Encoding: chunked\nContent-Length: 4\n\n0\n\n" + inner,
		outer + "Transfer-Encoding: xchunked\nContent-Length: 2\n\n{}" + inner,
		outer + "Content-Length: 0\nContent-Length: 2\n\n{}" + inner,
		"GET /healthz HTTP/1.1\nHost: x\nContent-Length: 10000\n\n" + inner,
		"GET /healthz HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n1000\n" + inner,
		"POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Length: 10000\n\n" + inner,
		"POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n1000\n" + inner,
		"PUT /healthz HTTP/1.1\nHost: x\nContent-Length: 1\n\n" + inner,
	} {
		w := g.dial()
		w.send(send)
		r := w.reply("POST")
		if !r.close {
			t.Errorf("%d: status %d without Connection: close", i, r.status)
		}
		w.ends()
	}
	if got := m.pull(""); len(got) != 0 {
		t.Errorf("smuggled: %v", got)
	}
	g.healthy()
}

// Requests may be pipelined; replies come in order, and what follows a refused
// body is not taken for a request.
func TestPipelined(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	w := g.dial()
	auth := "Host: x\nAuthorization: Bearer " + m.token + "\n"
	var send strings.Builder
	for i := range 50 {
		body := `{"event":` + eventN(i) + `}`
		fmt.Fprintf(&send, "POST /v1/events/%s HTTP/1.1\n%sContent-Type: application/json\nContent-Length: %d\n\n%s", m.id, auth, len(body), body)
		fmt.Fprintf(&send, "GET /v1/events/%s?limit=1000 HTTP/1.1\n%s\n", m.id, auth)
		fmt.Fprintf(&send, "GET /nothing HTTP/1.1\n%s\n", auth)
	}
	go w.Write([]byte(strings.ReplaceAll(send.String(), "\n", "\r\n")))
	for i := range 50 {
		w.reply("POST").want(t, 201)
		if r := w.reply("GET").want(t, 200); len(m.split(r.body)) != i+1 {
			t.Fatalf("pull %d: %s", i, r.body)
		}
		w.reply("GET").want(t, 404)
	}
	// A small body of a refused post is passed over, or the connection ends.
	w.send("POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Type: application/json\nContent-Length: 4\n\nGET GET /healthz HTTP/1.1\nHost: x\n\n")
	if r := w.reply("POST").want(t, 401); r.close {
		w.ends()
	} else {
		w.reply("GET").want(t, 200)
	}
}

// Connections that say nothing, or close at any point, cost nothing for long.
func TestHostile_Silent(t *testing.T) {
	t.Parallel()
	g := newRig(t, shortTimes)
	var held []net.Conn
	for range 50 {
		held = append(held, g.dial().Conn)
	}
	g.eventually("the silent are let go", func() bool { return g.relay.conns.Len() == 0 })
	head := "POST /v1/slot/allocate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
	for i := 0; i <= len(head); i += 3 {
		w := g.dial()
		w.Write([]byte(head[:i]))
		if i%2 == 0 {
			w.Conn.(*net.TCPConn).SetLinger(0)
		}
		w.Close()
		h := g.dial()
		h.Write([]byte(head[:i]))
		h.Conn.(*net.TCPConn).CloseWrite()
		held = append(held, h.Conn)
	}
	g.eventually("the half-open are let go", func() bool { return g.relay.conns.Len() == 0 })
	for _, c := range held {
		c.Close()
	}
	g.healthy()
	if n := g.store.Len(); n != 0 {
		t.Errorf("%d slots were allocated by half requests", n)
	}
}

func TestConnectionLimit(t *testing.T) {
	g := newRig(t, func(o *rigOptions) { o.relay.MaxConns, o.relay.MaxConnsPerAddress = 3, 3 })
	m := g.allocate()
	g.client.CloseIdleConnections()
	g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
	s := m.stream("", "")
	m.stream("", "")
	m.stream("", "")
	for range 5 {
		w := g.dial()
		time.Sleep(10 * time.Millisecond)
		for range 3 { // the request comes after the answer, and is not met by a reset
			w.send("GET /healthz HTTP/1.1\nHost: x\n\n")
			time.Sleep(5 * time.Millisecond)
		}
		if r := w.reply("GET").want(t, 503); r.header.Get("Retry-After") == "" || !r.close {
			t.Errorf("503: %v", r.header)
		}
		w.Close()
	}
	if n := metric(g, "cowrelay_http_connections_rejected_total"); n != 5 {
		t.Errorf("%v connections counted as turned away, want 5", n)
	}
	g.refused("connections", 5)
	s.close()
	g.eventually("there is room again", func() bool { return g.relay.conns.Len() == 2 })
	w := g.dial()
	w.send("GET /healthz HTTP/1.1\nHost: x\n\n")
	w.reply("GET").want(t, 200)
}
