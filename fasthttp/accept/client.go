package accept

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
)

// Client stands for all addresses that are limited as one: an IPv4 address, or
// the /64 that an IPv6 host chooses its addresses from. Prefixes that begin as
// IPv4's keys do are reserved and belong to nobody. 0 is whoever has no address.
type Client uint64

// ClientAt is the client at an address.
func ClientAt(addr netip.Addr) Client {
	if addr.Is4() {
		b := addr.As4()
		return 1<<32 | Client(b[0])<<24 | Client(b[1])<<16 | Client(b[2])<<8 | Client(b[3])
	}
	var key Client
	b := addr.As16()
	for _, c := range b[:8] {
		key = key<<8 | Client(c)
	}
	return key
}

// String returns the address, or the /64. It is empty for 0.
func (c Client) String() string {
	if c == 0 {
		return ""
	}
	var b [16]byte
	if binary.BigEndian.PutUint64(b[:], uint64(c)); c>>32 == 1 {
		return netip.AddrFrom4([4]byte(b[4:8])).String()
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 64).String()
}

// ParseClient reads an address, or what String returns. It refuses addresses of
// this machine, which stand for nobody.
func ParseClient(text string) (Client, error) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(text, "/64"))
	if err != nil || addr.Is4() && strings.HasSuffix(text, "/64") {
		return 0, errors.New("neither an address nor a /64 of IPv6")
	}
	addr = addr.WithZone("").Unmap()
	c := ClientAt(addr)
	if addr.IsLoopback() || c == 0 {
		return 0, errors.New("an address of this machine, which stands for nobody")
	}
	return c, nil
}
