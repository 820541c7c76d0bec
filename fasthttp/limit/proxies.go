package limit

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// DefaultHeaders are the headers in which a trusted proxy may name the client's
// address. The first one that is there counts.
//
// X-Forwarded-For stands first. Nearly all proxies add to it or set it, and behind
// those it is safe: nobody looks at what a client sends under another name. A proxy
// that sets one of the others and leaves X-Forwarded-For as it came would let a
// client choose its address. There the operator names the proxy's own header, and
// only that.
var DefaultHeaders = []string{fasthttp.HeaderXForwardedFor, "CF-Connecting-IP", "Fly-Client-IP"}

// Proxies are those that may say which client a request is from, and in which
// headers.
type Proxies struct {
	Trusted []netip.Prefix // empty: no proxy is trusted
	Headers []string
}

// Client returns whose request it is: the peer's or, if the peer is a trusted proxy,
// that of the address which it names. named says whether a proxy named it.
//
// A list of addresses grows on the way: each proxy adds the address that it saw. So
// it is read from its end, and the first address that is not a trusted proxy is the
// client. What stands before that is only what the client said. Where a list can't
// be read any further, the proxy that sent this part counts as the client. The same
// holds if the first header that is there names nobody: the next header may be the
// client's own.
func (p Proxies) Client(peer netip.Addr, h *fasthttp.RequestHeader) (client netip.Addr, named bool) {
	client = peer
	if len(p.Trusted) == 0 || !p.Trust(client) {
		return client, false
	}
	for _, name := range p.Headers {
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
				if client = addr; !p.Trust(client) {
					return client, true
				}
			}
		}
		return client, true
	}
	return client, false
}

// Trust says whether the address is a trusted proxy.
func (p Proxies) Trust(addr netip.Addr) bool {
	for _, prefix := range p.Trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads an address as proxies write it: alone or with a port. An IPv6
// address with a port stands in brackets.
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

// ParseProxies reads a list of addresses and networks, with commas
// between them.
func ParseProxies(list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range SplitList(list) {
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

// ParseHeaders reads a list of header names, with commas between them.
func ParseHeaders(list string) ([]string, error) {
	out := SplitList(list)
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

// SplitList returns what stands between the commas of a list, without blanks.
func SplitList(list string) (out []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}
