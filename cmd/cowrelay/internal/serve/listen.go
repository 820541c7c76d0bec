package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"cowrelay/cmd/cowrelay/internal/config"
	"cowrelay/cmd/cowrelay/internal/handover"
	"cowrelay/cmd/cowrelay/internal/probe"
)

// takeSockets takes the listening sockets that this process was started with: those of
// the program before, or those of a service manager.
func (s *server) takeSockets() (err error) {
	s.sockets = new(handover.Sockets)
	if s.taken != nil {
		s.sockets, err = s.taken.Sockets()
	}
	return errors.Join(err, s.sockets.Activated())
}

// listenClients opens the listeners of clients, which nobody reads yet. Sockets of the
// service manager stand in the place of --bind and --uds. Those of TCP speak TLS if the
// relay has a certificate.
func (s *server) listenClients() error {
	for _, ln := range s.sockets.Named(handover.Clients) {
		d := door{Listener: ln}
		d.TLS = s.HasTLS() && ln.Addr().Network() != "unix"
		s.doors = append(s.doors, d)
	}
	if len(s.doors) > 0 {
		s.log.Info("clients connect to the sockets of the service manager, and not to --bind and --uds", "sockets", len(s.doors))
	} else {
		for _, l := range s.Binds {
			ln, err := s.sockets.Open("--bind "+l.Address, func() (net.Listener, error) { return listen(s.Network(l), l.Address, "--bind") })
			if err != nil {
				return err
			}
			s.doors = append(s.doors, door{ln, l})
		}
		if s.UDS != "" {
			ln, err := s.sockets.Open("--uds "+s.UDS, func() (net.Listener, error) { return listenUnix(s.UDS) })
			if err != nil {
				return err
			}
			s.doors = append(s.doors, door{Listener: ln})
		}
	}
	for _, d := range s.doors {
		s.later(func() { d.Close() })
	}
	for _, d := range s.doors {
		if s.LocalOnly && !onLoopback(d.Listener) {
			return config.PublicBind(d.Addr().String())
		}
	}
	return nil
}

// listenOperators opens the listener of operators, if there is to be one.
func (s *server) listenOperators() (err error) {
	switch given := s.sockets.Named(handover.Operators); {
	case len(given) > 1:
		return fmt.Errorf("the service manager gives %d sockets with the name %q: the relay takes one", len(given), handover.Operators)
	case len(given) == 1:
		s.adminLn = given[0]
		s.log.Info("operators connect to the socket of the service manager, and not to --admin", "socket", addrText(s.adminLn))
	case s.Admin != "":
		s.adminLn, err = s.sockets.Open("--admin "+s.Admin, func() (net.Listener, error) { return listen("tcp", s.Admin, "--admin") })
	}
	return err
}

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
	return !ok || addr.IP.IsLoopback()
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
