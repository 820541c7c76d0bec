package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Sources of connections to a server on loopback. A connection that ended holds
// its port for timeWait, per source address: one address alone would be used up
// by a few seconds of a connection a request.
const (
	fewSources  = 32
	mostSources = 250
	timeWait    = time.Minute
	// connectRateMost is more connections a second and core than loopback has
	// been seen to make.
	connectRateMost = 10_000
)

// sources deals out loopback addresses, 127.0.0.2 and up, to connect from.
// Safe for several goroutines; nil leaves the choice to the system.
type sources struct {
	next  atomic.Uint32
	addrs []*net.TCPAddr
}

// newSources returns addresses to connect to addr from, enough for n
// connections that end within timeWait of each other if there are enough. It
// returns nil where addr is not on the IPv4 loopback: only there any address of
// 127.0.0.0/8 is ours.
func newSources(addr string, n int) *sources {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return nil
	}
	s := &sources{}
	addrs := fewSources
	if from, to, err := portRange(); err == nil {
		addrs = min(max(addrs, n/(to-from+1)+1), mostSources)
	}
	for i := range addrs {
		s.addrs = append(s.addrs, &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i))})
	}
	return s
}

// bind makes d connect from the next address. The port is chosen by connect,
// not by bind, so that one port serves as many connections as there are pairs
// of addresses.
func (s *sources) bind(d *net.Dialer) {
	if s == nil {
		return
	}
	d.LocalAddr = s.addrs[s.next.Add(1)%uint32(len(s.addrs))]
	d.ControlContext = bindNoPort
}

const ipBindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT, which syscall lacks

func bindNoPort(_ context.Context, _, _ string, c syscall.RawConn) error {
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

// checkPorts says whether the ports suffice for n connections to the relay that
// end within timeWait of each other.
func checkPorts(cfg *Config, n int) error {
	if n == 0 {
		return nil
	}
	from, to, err := portRange()
	if err != nil {
		return err
	}
	addr := "127.0.0.1:1" // a relay of ours, on some port
	if cfg.Target != "" {
		s, err := attach(cfg.Target, 0)
		if err != nil {
			return err
		}
		addr = s.addr
	}
	addrs := 1
	if s := newSources(addr, n); s != nil {
		addrs = len(s.addrs)
	}
	return fitsPorts(n, from, to, addrs)
}

// portRange is the range of ports that connect chooses from.
func portRange() (from, to int, err error) {
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

func fitsPorts(n, from, to, addrs int) error {
	if have := (to - from + 1) * addrs; n > have {
		return fmt.Errorf("this run may make %d connections within %v, and ports %d to %d of %d source addresses are %d: "+
			"widen net.ipv4.ip_local_port_range, or run fewer or shorter rounds", n, timeWait, from, to, addrs, have)
	}
	return nil
}

// connectsMost is the most connections to one side that may be in TIME_WAIT at
// once during a run of cfg's rounds, by guess.
func connectsMost(cfg *Config) int {
	d := min(time.Duration(cfg.Rounds)*(cfg.Warmup+cfg.Duration), timeWait)
	return int(d.Seconds() * connectRateMost * float64(runtime.NumCPU()))
}
