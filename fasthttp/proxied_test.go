package fasthttp

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"

	proxyproto "github.com/pires/go-proxyproto"
)

// lockedBuffer is a log that a test reads meanwhile.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.String(), text)
}

func version2(t *testing.T, client string, command proxyproto.ProtocolVersionAndCommand) string {
	t.Helper()
	h := &proxyproto.Header{Version: 2, Command: command, TransportProtocol: proxyproto.TCPv4}
	if strings.Contains(client, ":") {
		h.TransportProtocol = proxyproto.TCPv6
	}
	h.SourceAddr = &net.TCPAddr{IP: net.ParseIP(client), Port: 1234}
	h.DestinationAddr = &net.TCPAddr{IP: net.ParseIP(client), Port: 443}
	if err := h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: bytes.Repeat([]byte("a"), 700)}}); err != nil {
		t.Fatal(err)
	}
	text, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A trusted proxy's PROXY header tells the client: for limits and for the log, with
// and without TLS. Nobody else's counts.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, row := range []struct {
			what, trusted, header string
			on                    bool
			status                int    // 0: closed without an answer
			remote                string // in the log, its beginning
			result                int
		}{
			{"version 1", "127.0.0.1", "PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n", true, 200, "192.0.2.7", conn.ProxyRead},
			{"version 1, IPv6", "127.0.0.1", "PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\n", true, 200, "2001:db8::7", conn.ProxyRead},
			{"version 2", "127.0.0.1", version2(t, "192.0.2.8", proxyproto.PROXY), true, 200, "192.0.2.8", conn.ProxyRead},
			{"version 2, IPv6", "127.0.0.1", version2(t, "2001:db8::8", proxyproto.PROXY), true, 200, "2001:db8::8", conn.ProxyRead},
			{"its own", "127.0.0.1", version2(t, "192.0.2.8", proxyproto.LOCAL), true, 200, "127.0.0.1:", conn.ProxyLocal},
			{"unknown", "127.0.0.1", "PROXY UNKNOWN\r\n", true, 200, "127.0.0.1:", conn.ProxyLocal},
			{"none", "127.0.0.1", "", true, 200, "127.0.0.1:", conn.ProxyMissing},
			{"garbage", "127.0.0.1", "PROXY TCP4 somebody else\r\n", true, 0, "", conn.ProxyBad},
			{"endless", "127.0.0.1", "PROXY " + strings.Repeat("x", 2000), true, 0, "", conn.ProxyBad},
			{"long", "127.0.0.1", version2(t, "192.0.2.8", proxyproto.PROXY)[:14] + "\xff\xff" + strings.Repeat("x", 5000), true, 0, "", conn.ProxyBad},
			{"a stranger's", "192.0.2.1", "PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n", true, 400, "", conn.ProxyUntrusted},
			{"a stranger's, version 2", "192.0.2.1", version2(t, "192.0.2.8", proxyproto.PROXY), true, 400, "", conn.ProxyUntrusted},
			{"off", "127.0.0.1", "PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n", false, 400, "", conn.ProxyUntrusted},
		} {
			name := row.what
			if secure {
				name += " over TLS"
			}
			t.Run(name, func(t *testing.T) {
				log := new(lockedBuffer)
				g := newRig(t, func(o *rigOptions) {
					if secure {
						overTLS(o)
					}
					o.relay.ProxyProtocol, o.relay.AccessLog = row.on, true
					o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(row.trusted + "/32")}
					o.relay.Logger = slog.New(slog.NewTextHandler(log, nil))
				})
				g.undescribed = true
				raw, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer raw.Close()
				raw.SetDeadline(time.Now().Add(time.Minute))
				// The header arrives with what follows it, as a busy proxy sends it.
				c := net.Conn(&prefixed{Conn: raw, text: row.header})
				plain := c
				if secure {
					c = tls.Client(c, clientTLS)
				}
				_, err = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
				if secure && row.status == 400 {
					c = plain // the answer is for whoever does not speak TLS
				} else if err != nil && row.status != 0 {
					t.Fatal(err)
				}
				status := 0
				r := bufio.NewReader(c)
				if row.status == 400 && secure {
					// tls.Client has read the answer and did not understand it.
					row.status = 0
				}
				if res, err := http.ReadResponse(r, nil); err == nil {
					status = res.StatusCode
					io.Copy(io.Discard, res.Body)
				}
				if status != row.status {
					t.Errorf("status %d, want %d", status, row.status)
				}
				g.eventually("it is counted", func() bool { return g.relay.conns.ProxyHeaders()[row.result].Load() == 1 })
				if row.remote != "" {
					g.eventually("the log names the client", func() bool { return log.has(row.remote) })
				}
			})
		}
	}
}

// prefixed sends a text before what is written first.
type prefixed struct {
	net.Conn
	text string
}

func (p *prefixed) Write(b []byte) (int, error) {
	if text := p.text; text != "" {
		p.text = ""
		n, err := p.Conn.Write(append([]byte(text), b...))
		return max(0, n-len(text)), err
	}
	return p.Conn.Write(b)
}

// Limits are for the client that the PROXY header tells, also if it tells one of this
// machine: it is not the proxy, and not exempt.
func TestProxyProtocol_Limits(t *testing.T) {
	rates, err := limit.ParseRates("allocate=1/2")
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(o *rigOptions) {
		o.relay.ProxyProtocol, o.relay.RateLimits = true, &rates
		o.relay.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		o.relay.now = func() int64 { return 1 }
	})
	g.undescribed = true
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "127.0.0.1"} {
		for i, want := range []int{201, 201, 429} {
			w := g.dial()
			io.WriteString(w.Conn, "PROXY TCP4 "+client+" 192.0.2.9 1 2\r\nPOST /v1/slot/allocate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
			res, err := http.ReadResponse(w.br, nil)
			if err != nil || res.StatusCode != want {
				t.Errorf("%s, request %d: %v, %v; want %d", client, i, res, err, want)
			}
		}
	}
}
