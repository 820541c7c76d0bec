package conn

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/netip"

	"cowrelay/fasthttp/accept"

	proxyproto "github.com/pires/go-proxyproto"
)

// Results of looking for a header of the PROXY protocol. They are labels of a metric.
const (
	ProxyRead      = iota // it tells the client
	ProxyLocal            // the proxy says that the connection is its own
	ProxyMissing          // a trusted proxy sent none: the connection counts as its own
	ProxyBad              // a trusted proxy's can't be read
	ProxyUntrusted        // it counts for nothing: its sender is not trusted, or --proxy-protocol is off
	proxyResults
)

// ProxyNames are the results' names.
var ProxyNames = [proxyResults]string{"read", "local", "missing", "bad", "untrusted"}

// headerBuffer is what is read ahead for a header. A header of version 1 comes in
// one piece and is shorter, and one of version 2 may be longer.
const headerBuffer = 512

// proxied is a socket of a trusted proxy. Its first bytes may say whose connection it
// is: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt.
type proxied struct {
	accept.Socket
	rest []byte // what was read behind the header
}

// read reads the header, if there is one, and returns the client's address.
func (p *proxied) read() (netip.Addr, int) {
	r := bufio.NewReaderSize(p.Socket, headerBuffer)
	h, err := proxyproto.Read(r)
	if n := r.Buffered(); n > 0 {
		ahead, _ := r.Peek(n)
		p.rest = bytes.Clone(ahead)
	}
	if errors.Is(err, proxyproto.ErrNoProxyProtocol) {
		return netip.Addr{}, ProxyMissing
	}
	if err != nil {
		return netip.Addr{}, ProxyBad
	}
	if h.Command.IsLocal() {
		return netip.Addr{}, ProxyLocal
	}
	tcp, ok := h.SourceAddr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, ProxyBad // nothing else reaches us through a proxy of TCP
	}
	addr, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return netip.Addr{}, ProxyBad
	}
	return addr.Unmap(), ProxyRead
}

// Read implements net.Conn.
func (p *proxied) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return p.Socket.Read(b)
	}
	n := copy(b, p.rest)
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		p.rest = nil
	}
	return n, nil
}

// proxyHeader says whether what a connection begins with is a header of the PROXY
// protocol, as far as five bytes tell it. No request begins so.
func proxyHeader(b []byte) bool {
	return len(b) >= 5 && (string(b[:5]) == "PROXY" || string(b[:5]) == "\r\n\r\n\x00")
}
