package wire

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A connection that has ended holds its port for PortHeld. The ports of one source
// address are used up after a few seconds of a connection for each request, so
// there are several addresses.
const (
	fewSources  = 32
	mostSources = 250
	PortHeld    = time.Minute
)

// Sources deals out the loopback addresses 127.0.0.2 and up to connect from. It
// is safe for several goroutines. With nil, the system chooses the address.
type Sources struct {
	next  atomic.Uint32
	addrs []*net.TCPAddr
}

// NewSources returns addresses for connections to addr: enough for n
// connections that end within PortHeld of each other, or the most that there
// may be. It returns nil if addr is not on the IPv4 loopback, where alone all
// of 127.0.0.0/8 is ours.
func NewSources(addr string, n int) *Sources {
	to, err := netip.ParseAddrPort(HostPort(addr))
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return nil
	}
	s := &Sources{}
	addrs := fewSources
	if from, to, err := PortRange(); err == nil {
		addrs = min(max(addrs, n/(to-from+1)+1), mostSources)
	}
	for i := range addrs {
		s.addrs = append(s.addrs, &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i))})
	}
	return s
}

// Count returns how many addresses there are.
func (s *Sources) Count() int { return len(s.addrs) }

// bind makes d connect from the next address. The connect chooses the port, not
// the bind: so one port serves as many connections as there are pairs of
// addresses.
func (s *Sources) bind(d *net.Dialer) {
	if s == nil {
		return
	}
	d.LocalAddr = s.addrs[s.next.Add(1)%uint32(len(s.addrs))]
	d.ControlContext = BindNoPort
}

const ipBindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT, which syscall lacks

// BindNoPort leaves the choice of the port to connect, for a socket with a
// source address of its own. It is a net.Dialer's ControlContext.
func BindNoPort(_ context.Context, _, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("cannot leave the port to connect: %w", err)
	}
	return nil
}

// PortRange returns the range of ports that connect chooses from.
func PortRange() (from, to int, err error) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the range of ports: %w", err)
	}
	return parsePortRange(string(b))
}

func parsePortRange(s string) (from, to int, err error) {
	f := strings.Fields(s)
	if len(f) == 2 {
		if from, err = strconv.Atoi(f[0]); err == nil {
			to, err = strconv.Atoi(f[1])
		}
	}
	if len(f) != 2 || err != nil || to < from {
		return 0, 0, fmt.Errorf("cannot parse ip_local_port_range %q", s)
	}
	return from, to, nil
}

func FitsPorts(n, from, to, addrs int) error {
	if have := (to - from + 1) * addrs; n > have {
		return fmt.Errorf("this run may make %d connections within %v, and ports %d to %d of %d source addresses are %d: "+
			"widen net.ipv4.ip_local_port_range, or run fewer or shorter rounds", n, PortHeld, from, to, addrs, have)
	}
	return nil
}
