package fasthttp

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/stream"
)

// clientTLS is what clients of tests speak: they look at no name.
var clientTLS = &tls.Config{InsecureSkipVerify: true}

var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	text := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, DNSNames: []string{"relay.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// overTLS has the relay serve TLS.
func overTLS(o *rigOptions) {
	o.tls = &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// Requests of all sizes are answered over TLS as they are without: replies that are
// copied, and windows that are written from the slot's own bytes.
func TestTLS_Requests(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			g := newRig(t, overTLS, func(o *rigOptions) { o.tls.MaxVersion = version })
			m := g.allocate()
			var want []string
			for i, size := range []int{60, 100, 4_000, 12_000, 70_000, 250_000, 61} {
				want = append(want, bigEvent(fmt.Sprint(i), size))
				m.post(want[i]).want(t, 201)
			}
			for n := range len(want) {
				if got := m.pull(fmt.Sprintf("?from=%d", n)); strings.Join(got, ",") != strings.Join(want[n:], ",") {
					t.Errorf("from %d: %d events, want %d", n, len(got), len(want)-n)
				}
			}
			g.call("GET", "/healthz", "", nil).want(t, 200)
			posted := make(chan struct{})
			go func() {
				defer close(posted)
				g.eventually("somebody waits", func() bool { return g.relay.polls.Len() == 1 })
				m.post(eventN(8)).want(t, 201)
			}()
			if got := m.pull("?since=6&wait=25"); len(got) != 1 || got[0] != eventN(8) {
				t.Errorf("a long poll: %q", got)
			}
			<-posted
			full := g.relay.conns.Handshakes()[conn.HandshakeFull].Load()
			if full == 0 {
				t.Error("no handshake was counted")
			}
			if n := metric(g, "cowrelay_tls_handshake_cpu_seconds_total"); n <= 0 || n > 60 {
				t.Errorf("handshakes took %v s of a processor", n)
			}
			if n := metric(g, "cowrelay_tls_handshake_wait_seconds_total"); n < 0 {
				t.Errorf("handshakes waited %v s", n)
			}
			// A client that comes back takes up its session.
			again := clientTLS.Clone()
			again.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for range 2 {
				c, err := tls.Dial("tcp", g.addr, again)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				// The end is told from a cut: io.ReadAll would fail with ErrUnexpectedEOF.
				if all, err := io.ReadAll(c); err != nil || !bytes.HasSuffix(all, []byte("ok\n")) {
					t.Fatalf("%q, %v", all, err)
				}
				c.Close()
			}
			if n := g.relay.conns.Handshakes()[conn.HandshakeResumed].Load(); n != 1 {
				t.Errorf("%d sessions were taken up", n)
			}
		})
	}
}

// A stream over TLS replays, goes live, and ends between two frames. Its client's end
// is seen at once.
func TestTLS_Streams(t *testing.T) {
	t.Parallel()
	g := newRig(t, overTLS, func(o *rigOptions) { o.relay.Heartbeat = 500 * time.Millisecond })
	m := g.allocate()
	const n = 300
	for i := range n {
		m.post(bigEvent(fmt.Sprint(i), 10_000)).want(t, 201)
	}
	s := m.stream("?from=0", "")
	for i := range n {
		if f := s.next(); f.id != fmt.Sprint(i) || f.data != bigEvent(fmt.Sprint(i), 10_000) {
			t.Fatalf("frame %d has the id %q and %d bytes", i, f.id, len(f.data))
		}
	}
	for i := range 50 {
		m.post(eventN(i)).want(t, 201)
		if f := s.next(); f.data != eventN(i) {
			t.Fatalf("live: %q", f.data)
		}
	}
	gone := m.stream("", "")
	g.eventually("two streams", func() bool { return g.relay.streams.Len() == 2 })
	gone.Conn.Close()
	g.eventually("the client's end is seen", func() bool { return g.relay.streams.Len() == 1 })
	_, before := g.relay.streams.Written()
	g.eventually("comments come", func() bool { _, now := g.relay.streams.Written(); return now > before })
	g.stop()
	if _, err := s.readFrame(); err != io.EOF || s.retry < 0 || s.comments == 0 {
		t.Errorf("the end is %v, retry %d, %d comments", err, s.retry, s.comments)
	}
}

// A client that does not read a stream or a window holds up nobody, and one that reads
// on in time gets all of it.
func TestTLS_Stalled(t *testing.T) {
	t.Parallel()
	g := newRig(t, overTLS, smallBuffers(time.Minute))
	f := g.fillPages(1, 16, 40_000)[0]
	page := f.slowTLS(f.request())
	if _, err := io.ReadFull(page, make([]byte, 1)); err != nil {
		t.Fatalf("the reply does not begin: %v", err)
	}
	f.slowTLS(f.streamRequest("HTTP/1.1", "?from=0", ""))
	g.eventually("the stream waits", func() bool { return g.relay.streams.Stalled() == 1 })
	other := g.allocate()
	live := other.stream("", "")
	other.post(eventN(1)).want(t, 201)
	if got := live.next(); got.data != eventN(1) {
		t.Errorf("%q", got.data)
	}
	if body, err := f.rest(page, 64<<10); err != nil || body != f.page {
		t.Errorf("a window that was read late has %d bytes of %d: %v", len(body), len(f.page), err)
	}
}

// A client that reads on neither a stream nor a window is cut.
func TestTLS_StalledIsCut(t *testing.T) {
	t.Parallel()
	g := newRig(t, overTLS, smallBuffers(300*time.Millisecond))
	f := g.fillPages(1, 16, 40_000)[0]
	f.slowTLS(f.streamRequest("HTTP/1.1", "?from=0", ""))
	g.eventually("the stream is cut", func() bool { return g.relay.streams.Ended(stream.EndSlow) == 1 })
	f.slowTLS(f.request())
	g.eventually("the window is cut", func() bool { return g.relay.conns.Cuts()[conn.CutSlow].Load() == 1 })
}

// smallBuffers has the relay's system take little for a client, who has to read on within
// patience.
func smallBuffers(patience time.Duration) func(*rigOptions) {
	return func(o *rigOptions) {
		o.relay.SendBuffer, o.relay.StreamSendBuffer, o.relay.StreamWriteTimeout = 32<<10, 32<<10, patience
	}
}

// slowTLS is a client whose system takes little. It sends a request, and reads nothing.
func (f filled) slowTLS(request string) net.Conn {
	f.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	c.(*net.TCPConn).SetReadBuffer(32 << 10) // through less it takes a minute
	c.SetDeadline(time.Now().Add(time.Minute))
	over := tls.Client(c, clientTLS)
	io.WriteString(over, strings.ReplaceAll(strings.ReplaceAll(request, "\r\n", "\n"), "\n", "\r\n"))
	return over
}

// Clients that never finish their handshake, or do it byte by byte, keep nobody out,
// and are gone when their time is over.
func TestTLS_UnfinishedHandshakes(t *testing.T) {
	t.Parallel()
	const most = 16
	g := newRig(t, overTLS, func(o *rigOptions) { o.relay.MaxConns, o.relay.HeaderTimeout = most, 4*time.Second })
	var held []net.Conn
	open := func(n int, begin []byte) {
		for range n {
			c, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.Write(begin)
			held = append(held, c)
		}
	}
	for _, begin := range [][]byte{nil, {22, 3, 1, 2, 0}, append([]byte{22, 3, 1, 2, 0}, make([]byte, 200)...)} {
		open(most, begin)
		m := g.allocate()
		m.post(eventN(1)).want(t, 201)
		g.client.CloseIdleConnections()
	}
	for _, c := range held {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, errTimeout) {
			t.Fatal("a connection without a handshake stays open")
		}
	}
	g.eventually("all is given back", func() bool { return g.relay.conns.Arrivals.Used() == 0 && g.relay.places.Used() == 0 })
}

var errTimeout = errTimedOut()

func errTimedOut() error {
	c, other := net.Pipe()
	defer other.Close()
	defer c.Close()
	c.SetDeadline(time.Unix(1, 0))
	_, err := c.Read(make([]byte, 1))
	return err
}

// What is no TLS gets an answer that says so, and HTTP/2 alone is no agreement.
func TestTLS_OtherProtocols(t *testing.T) {
	t.Parallel()
	g := newRig(t, overTLS)
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 400 || !strings.Contains(string(body), "https") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	two := clientTLS.Clone()
	two.NextProtos = []string{"h2"}
	if c, err := tls.Dial("tcp", g.addr, two); err == nil {
		c.Close()
		t.Error("HTTP/2 was agreed upon")
	}
	g.eventually("two failed handshakes", func() bool { return g.relay.conns.Handshakes()[conn.HandshakeFailed].Load() == 2 })
}

// A stream whose client has stalled once, and has read on, goes on for as long as others:
// the deadline of the wait does not outlive it.
func TestStreams_StallIsForgotten(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS=%v", secure), func(t *testing.T) {
			t.Parallel()
			g := newRig(t, func(o *rigOptions) {
				if secure {
					overTLS(o)
				}
				o.relay.StreamSendBuffer, o.relay.StreamWriteTimeout = 32<<10, time.Second
			})
			f := g.fillPages(1, 16, 40_000)[0]
			raw, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			raw.(*net.TCPConn).SetReadBuffer(32 << 10)
			raw.SetDeadline(time.Now().Add(time.Minute))
			c := raw
			if secure {
				c = tls.Client(raw, clientTLS)
			}
			io.WriteString(c, strings.ReplaceAll(f.streamRequest("HTTP/1.1", "?from=0", ""), "\n", "\r\n"))
			g.eventually("the stream waits", func() bool { return g.relay.streams.Stalled() == 1 })
			seen := make(chan error, 1)
			go func() {
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil || strings.Contains(line, `"last"`) {
						seen <- err
						return
					}
				}
			}()
			g.eventually("all is read", func() bool { n, _ := g.relay.streams.Written(); return n == 16 && g.relay.streams.Stalled() == 0 })
			time.Sleep(2*g.opts.relay.StreamWriteTimeout + time.Second) // past the deadline of the wait
			f.post(`{"event_id":"last"}`).want(t, 201)
			if err := <-seen; err != nil {
				t.Errorf("the stream ended: %v", err)
			}
		})
	}
}
