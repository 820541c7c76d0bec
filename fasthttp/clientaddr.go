package fasthttp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"cowrelay/fasthttp/accept"

	"github.com/valyala/fasthttp"
)

// DefaultClientHeaders are the headers that a trusted proxy may tell the
// client's address by, in the order in which they are looked for.
//
// X-Forwarded-For stands first because that is safe behind every proxy that
// adds to it or sets it, as nearly all do: what a client sends under another
// name is then never looked at. Behind a proxy that sets one of the others and
// leaves X-Forwarded-For as it came, a client could choose its address: the
// operator names the proxy's own header, and it alone.
var DefaultClientHeaders = []string{fasthttp.HeaderXForwardedFor, "CF-Connecting-IP", "Fly-Client-IP"}

// peer is the address at the other end of the connection.
func (c *conn) peer() netip.Addr {
	tcp, ok := c.TCPConn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().WithZone("").Unmap()
}

// clientOf returns whose request it is: the peer, or if that is a trusted proxy
// the address that it tells. A list of addresses has the proxies that the
// request came through, each adding the address that it saw, so the last one
// that is no trusted proxy is the client; what stands before it is what the
// client said. Where a list can't be read on, the proxy that sent it is taken;
// so it is where the first header that is there names nobody, since the next
// one may be the client's own.
func (l *Live) clientOf(peer netip.Addr, h *fasthttp.RequestHeader) (client netip.Addr, told bool) {
	client = peer
	if len(l.TrustedProxies) == 0 || !l.trusted(client) {
		return client, false
	}
	for _, name := range l.ClientHeaders {
		lists := h.PeekAll(name)
		if len(lists) == 0 {
			continue
		}
		for _, list := range slices.Backward(lists) {
			for len(list) > 0 {
				var item []byte
				if i := bytes.LastIndexByte(list, ','); i >= 0 {
					list, item = list[:i], list[i+1:]
				} else {
					list, item = nil, list
				}
				if item = bytes.TrimSpace(item); len(item) == 0 {
					continue
				}
				addr, ok := parseHop(item)
				if !ok {
					return client, true
				}
				if client = addr; !l.trusted(client) {
					return client, true
				}
			}
		}
		return client, true
	}
	return client, false
}

func (l *Live) trusted(addr netip.Addr) bool {
	for _, p := range l.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads an address as proxies write it: alone, or with a port, and
// then an IPv6 address in brackets.
func parseHop(text []byte) (netip.Addr, bool) {
	if text[0] == '[' {
		end := bytes.IndexByte(text, ']')
		if end < 0 || end+1 < len(text) && !isPort(text[end+1:]) {
			return netip.Addr{}, false
		}
		text = text[1:end]
	} else if i := bytes.IndexByte(text, ':'); i >= 0 && i == bytes.LastIndexByte(text, ':') {
		if !isPort(text[i:]) {
			return netip.Addr{}, false
		}
		text = text[:i]
	}
	text, _, _ = bytes.Cut(text, []byte{'%'}) // a zone is the proxy's own affair
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(text), len(text)))
	return addr.Unmap(), err == nil
}

func isPort(text []byte) bool {
	if len(text) < 2 || len(text) > 6 || text[0] != ':' {
		return false
	}
	for _, c := range text[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// ParseTrustedProxies reads a list of addresses and networks, with commas
// between them.
func ParseTrustedProxies(list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range splitList(list) {
		p, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			p, err = netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return nil, fmt.Errorf("%q holds more than IPv4 addresses: write 0.0.0.0/0", text)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// ParseClientHeaders reads a list of header names, with commas between them.
func ParseClientHeaders(list string) ([]string, error) {
	out := splitList(list)
	if len(out) == 0 {
		return nil, errors.New("name at least one header")
	}
	for _, name := range out {
		for _, c := range []byte(name) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return nil, fmt.Errorf("%q is no name of a header", name)
			}
		}
	}
	return out, nil
}

func splitList(list string) (out []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// remote is who a request is from, for the log.
func (l *Live) remote(ctx *fasthttp.RequestCtx) string {
	if c, ok := ctx.Conn().(*conn); ok {
		if client, told := l.clientOf(c.peer(), &ctx.Request.Header); told {
			return client.String()
		}
	}
	return ctx.RemoteAddr().String()
}

// clientOf is whose request it is, for whoever shares something out. All clients
// that come by another way than TCP are one.
func (r *Relay) clientOf(req request) accept.Client {
	if req.conn == nil {
		return 0
	}
	return r.clientKey(req.conn, &req.ctx.Request.Header)
}
