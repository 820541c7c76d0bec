package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// listen opens a listener on an address that a flag gave.
func listen(address, flag string) (net.Listener, error) {
	// The sockets of Multipath TCP, Go's default, don't pass on to connections
	// all of what is set on a listener.
	var conf net.ListenConfig
	conf.SetMultipathTCP(false)
	ln, err := conf.Listen(context.Background(), "tcp", address)
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

// clients are the listeners of clients.
func (s *server) clients() (list []net.Listener) {
	for _, ln := range []net.Listener{s.ln, s.unixLn} {
		if ln != nil {
			list = append(list, ln)
		}
	}
	return list
}

// addrText is a listener's address as the log shows it, "" for no listener.
func addrText(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}
