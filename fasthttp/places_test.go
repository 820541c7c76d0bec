package fasthttp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
)

// honest sends n pulls and probes from the address, each over a connection of
// its own, which then stays open.
func (m mailbox) honest(address string, n int) {
	m.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	for i := range n {
		c, err := d.Dial("tcp", m.addr)
		if err != nil {
			m.Fatal(err)
		}
		m.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(30 * time.Second))
		path := "/v1/events/" + m.id
		if i%2 == 1 {
			path = "/healthz"
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, m.token)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != 200 {
			m.Fatalf("request %d from %s: %v, %v", i, address, res, err)
		}
	}
}

// A client that holds all connections, idle or with heads that never end, gives
// them up one by one: to others, and to itself.
func TestPlaces_TheGreediestGivesWay(t *testing.T) {
	const most = 200
	g := newRig(t, func(o *rigOptions) { o.relay.MaxConns, o.relay.MaxConnsPerAddress = most, most })
	m := g.allocate()
	g.client.CloseIdleConnections()
	for i := range most + 50 {
		w := g.dial()
		switch i % 3 {
		case 1:
			w.send("GET /healthz HTTP/1.1\nHost: x\n")
		case 2:
			w.send("GET /healthz HTTP/1.1\nHost: x\n\n")
			w.reply("GET").want(t, 200)
		}
	}
	g.eventually("all are taken", func() bool { return g.relay.conns.Len() == most })
	for _, address := range []string{"127.0.0.2", "127.0.0.1"} {
		m.honest(address, 150)
	}
	if n := g.relay.places.Refused(); n != 0 {
		t.Errorf("%d connections got 503", n)
	}
	if n := g.relay.places.Evicted(); n != 350 {
		t.Errorf("%d connections gave way, want 350", n)
	}
}

// A client that has all connections in use gives them up to others, one by one
// and in order; its own do not push out each other.
func TestPlaces_InUseGivesWay(t *testing.T) {
	t.Parallel()
	const most = 40
	uses := map[string]string{
		"stream": "GET /v1/events/%s/stream HTTP/1.1\nHost: x\nAuthorization: Bearer %s\n\n",
		"poll":   "GET /v1/events/%s?wait=25 HTTP/1.1\nHost: x\nAuthorization: Bearer %s\n\n",
		"page":   "GET /v1/events/%s HTTP/1.1\nHost: x\nAuthorization: Bearer %s\n\n", // nobody reads it
		"body":   "POST /v1/events/%s HTTP/1.1\nHost: x\nAuthorization: Bearer %s\nContent-Type: application/json\nContent-Length: 1000\n\n{",
	}
	for name, request := range uses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(o *rigOptions) { o.relay.MaxConns, o.relay.MaxStreams, o.relay.MaxWaiters = most, 2*most, 2*most })
			m, other := g.allocate(), g.allocate()
			if name == "page" {
				for i := range 20 {
					m.post(fmt.Sprintf(`{"event_id":"%d","pad":"%s"}`, i, strings.Repeat("x", 200_000))).want(t, 201)
				}
			}
			g.client.CloseIdleConnections()
			g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
			var all []*wire
			for range most {
				w := g.dial()
				if name == "page" {
					w.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
				}
				w.send(fmt.Sprintf(request, m.id, m.token))
				all = append(all, w)
			}
			g.eventually("all are in use", func() bool { return g.relay.places.Busy() == most })
			if name == "stream" {
				g.eventually("all streams have begun", func() bool { return g.relay.streams.Len() == most })
			}
			w := g.dial()
			w.reply("GET").want(t, 503)
			w.Close()
			other.honest("127.0.0.2", 30)
			if n := g.relay.places.Refused(); n != 1 {
				t.Errorf("%d connections got 503, want one", n)
			}
			// Up to the point where the other client has half as many; from then on
			// its own idle ones do.
			g.eventually("some have given way", func() bool { return g.relay.places.Busy() < most })
			if inUse := g.relay.places.Busy(); inUse < most/2 {
				t.Errorf("%d of %d are in use still", inUse, most)
			}
			for _, w := range all {
				w.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				text, err := io.ReadAll(w.br)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					continue
				}
				if name == "stream" && !strings.HasSuffix(string(text), "0\r\n\r\n") {
					t.Errorf("a stream ends with %q", text)
				}
				if name == "poll" && !strings.HasSuffix(string(text), "[]") {
					t.Errorf("a long poll ends with %q", text)
				}
			}
		})
	}
}

// A client has no more than it may, and what it does not have is there for the
// others; a trusted proxy may have all.
func TestPlaces_Share(t *testing.T) {
	const most = 40
	g := newRig(t, func(o *rigOptions) { o.relay.MaxConns, o.relay.MaxConnsPerAddress = most, most/2 })
	m := g.allocate()
	g.client.CloseIdleConnections()
	g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
	open := func(want int) *wire {
		t.Helper()
		w := g.dial()
		w.send("GET /v1/events/" + m.id + "/stream HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n\n")
		res, err := http.ReadResponse(w.br, nil)
		if err != nil || res.StatusCode != want {
			t.Fatalf("a stream: %v, %v; want %d", res, err, want)
		}
		return w
	}
	for range most / 2 {
		open(200)
	}
	for range 5 { // its request may be on its way when it is turned away
		w := g.dial()
		w.reply("GET").want(t, 503)
		w.Close()
	}
	m.honest("127.0.0.2", 150)

	g.relay.SetLive(Live{MaxConnsPerAddress: 2 + most/2})
	open(200)
	open(200)
	w := g.dial()
	w.reply("GET").want(t, 503)
	g.relay.SetLive(Live{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	g.eventually("the other's last reply is behind it", func() bool { return g.relay.places.Busy() == 2+most/2 })
	for range most - most/2 - 2 {
		open(200)
	}
	w = g.dial()
	w.reply("GET").want(t, 503)
}

// What has a request under way stays, and what waits for one goes, whatever of
// its head has come.
func TestPlaces_WhoMayGo(t *testing.T) {
	g := newRig(t)
	m := g.allocate()
	g.client.CloseIdleConnections()
	g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
	auth := " HTTP/1.1\nHost: x\nAuthorization: Bearer " + m.token + "\n"
	stream := m.stream("", "")
	poll := g.dial()
	poll.send("GET /v1/events/" + m.id + "?wait=20" + auth + "\n")
	body := `{"event":` + eventN(1) + `}`
	post := g.dial()
	post.send("POST /v1/events/" + m.id + auth + fmt.Sprintf("Content-Type: application/json\nContent-Length: %d\n\n", len(body)) + body[:5])
	g.eventually("they are under way", func() bool { return g.relay.polls.Len() == 1 && g.relay.conns.Len() == 3 })
	g.eventually("all headers were read", func() bool { return g.relay.places.Busy() == 3 })
	if g.relay.places.MakeRoom() {
		t.Error("a connection with a request under way gave way")
	}

	for what, sent := range map[string]string{"new": "", "half a head": "GET /healthz HTTP/1.1\nHo", "after a request": "GET /healthz HTTP/1.1\nHost: x\n\n"} {
		w := g.dial()
		if w.send(sent); strings.HasSuffix(sent, "\n\n") {
			w.reply("GET").want(t, 200)
		}
		g.eventually(what+" gives way", g.relay.places.MakeRoom)
		if rest, err := io.ReadAll(w.br); len(rest) > 0 || err != nil {
			t.Errorf("%s: the connection ends with %q, %v", what, rest, err)
		}
	}
	// One that was refused with its body on the way waits to be closed gently.
	w := g.dial()
	w.send("POST /v1/events/" + m.id + " HTTP/1.1\nHost: x\nContent-Length: 1000\n\nx")
	w.reply("POST").want(t, 401)
	g.eventually("a refused one gives way", g.relay.places.MakeRoom)
	g.eventually("it is closed", func() bool { return g.relay.conns.Len() == 3 })

	post.send(body[5:])
	post.reply("POST").want(t, 201)
	poll.reply("GET").want(t, 200)
	if f, err := stream.readFrame(); err != nil || f.id != "e1" {
		t.Errorf("the stream: %v, %v", f, err)
	}
}

// A request that is there when its connection has to go is answered, with its
// whole body; one that comes later finds the connection closed. Never is
// something answered that was not asked.
func TestPlaces_RequestAtThatMoment(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	m := g.allocate()
	g.client.CloseIdleConnections()
	g.eventually("no connection", func() bool { return g.relay.conns.Len() == 0 })
	answered, lost := 0, 0
	for i := range 300 {
		w := g.dial()
		g.eventually("it has a place", func() bool { return g.relay.places.Used() == 1 })
		body := fmt.Sprintf(`{"event":{"event_id":"m%d"}}`, i)
		request := fmt.Sprintf("POST /v1/events/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", m.id, m.token, len(body), body)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			time.Sleep(time.Duration(i%30) * 10 * time.Microsecond)
			g.relay.places.MakeRoom()
		}()
		time.Sleep(time.Duration(i%7) * 20 * time.Microsecond)
		fmt.Fprint(w.Conn, request)
		res, err := http.ReadResponse(bufio.NewReader(w.Conn), nil)
		switch {
		case err != nil:
			lost++
		case res.StatusCode == 201:
			answered++
		default:
			t.Fatalf("status %d", res.StatusCode)
		}
		<-gone
		w.Close()
		g.eventually("its place is free", func() bool { return g.relay.places.Used() == 0 })
	}
	if got := len(m.pull("?limit=1000")); got < answered {
		t.Errorf("%d events, %d acknowledged", got, answered)
	}
	t.Logf("%d answered, %d lost", answered, lost)
}

// What has come before the connection has to go is read, and then the end.
func TestPlaces_EvictReadsWhatCame(t *testing.T) {
	g := newRig(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	w := dial(t, ln.Addr().String())
	tcp, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := g.relay.conns.Open(tcp.(*net.TCPConn), conn.Prologue{})
	own := accept.NewPlaces("one", 1)
	own.Take(&c.Place, c.Socket, 1, 0, nil)
	w.send("a request")
	b := make([]byte, 100)
	n, err := c.Read(b[:1])
	if err != nil {
		t.Fatal(err)
	}
	if !own.MakeRoom() {
		t.Fatal("it does not make room")
	}
	if !c.Begin() {
		t.Error("the request does not hear that it is the last")
	}
	for err == nil && n < len("a request") {
		var m int
		m, err = c.Read(b[n:])
		n += m
	}
	if string(b[:n]) != "a request" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if _, err := c.Read(b); !errors.Is(err, net.ErrClosed) {
		t.Errorf("then: %v", err)
	}
	w.ends()
}
