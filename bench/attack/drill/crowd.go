package drill

import (
	"fmt"
	"net"

	"cowrelay/bench/attack/client"
)

// otherIPs is how many addresses a larger attack comes from, 127.0.0.2 and up.
// They are few, so that each is a client that takes much.
const otherIPs = 4

// A crowd is where the connections of an attack come from.
type crowd struct {
	name string
	ip   func(i int) net.IP
}

var (
	// atHonest attacks from the honest clients' own address, as a neighbour
	// behind the same router would.
	atHonest = crowd{"from the honest clients' address", func(int) net.IP { return client.HonestIP }}
	atOne    = crowd{"from one other address", func(int) net.IP { return net.IPv4(127, 0, 0, 2) }}
	atFew    = crowd{fmt.Sprintf("from %d other addresses", otherIPs), func(i int) net.IP { return net.IPv4(127, 0, 0, byte(2+i%otherIPs)) }}
)
