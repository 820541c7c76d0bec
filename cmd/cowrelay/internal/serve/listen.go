package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/probe"
)

// listen opens a listener on an address that a flag gave. network is tcp, or tcp6 for
// one that leaves IPv4 to another.
func listen(network, address, flag string) (net.Listener, error) {
	// The sockets of Multipath TCP, Go's default, don't pass on to connections
	// all of what is set on a listener.
	var conf net.ListenConfig
	conf.SetMultipathTCP(false)
	ln, err := conf.Listen(context.Background(), network, address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: the address %s is in use by another process", flag, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", flag, address, err)
	}
	return ln, nil
}

// onLoopback says whether this machine alone can reach the listener.
func onLoopback(ln net.Listener) bool {
	addr, ok := ln.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// door is a listener of clients.
type door struct {
	net.Listener
	config.Listening
}

// url is where this machine reaches it, "" for a Unix socket.
func (d door) url() string {
	if d.Addr().Network() == "unix" {
		return ""
	}
	return d.URL(probe.Reachable(d.Addr().String()))
}

// doorsText is the addresses of the listeners of TCP, as the log shows them.
func doorsText(doors []door) string {
	var list []string
	for _, d := range doors {
		if d.Addr().Network() != "unix" {
			list = append(list, d.Text(d.Addr().String()))
		}
	}
	return strings.Join(list, ",")
}

// addrText is a listener's address as the log shows it, "" for no listener.
func addrText(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}
