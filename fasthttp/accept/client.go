package accept

import "net/netip"

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
