package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Names of sockets that a service manager may give, as FileDescriptorName= has them.
const (
	Clients   = "cowrelay"
	Operators = "admin"
)

// Sockets are the listening sockets of a process: those that it was started with, and
// those that it has opened. The zero value has none. It belongs to one goroutine.
type Sockets struct{ list []*socket }

type socket struct {
	name string // a flag with its address, or what the service manager calls it
	ln   net.Listener
	fd   int  // the descriptor that the program before has left; -1: none
	used bool // Named or Open has returned it
	own  bool // a program of ours has made it
}

const managed = "managed:" // before the names of a service manager's

// Activated takes the sockets that a service manager has opened for this process
// (sd_listen_fds), and takes them out of the environment. It is an error if one has a
// name that the relay does not know, or is no listening stream socket.
func (s *Sockets) Activated() error {
	for _, f := range activation.Files(true) {
		name := strings.TrimSuffix(f.Name(), ".socket") // the unit's, where it says nothing else
		if strings.HasPrefix(name, "LISTEN_FD_") || name == "unknown" {
			name = Clients // the manager has no names
		}
		if name != Clients && name != Operators {
			return fmt.Errorf("the service manager gives a socket with the name %q: FileDescriptorName= is %s for clients, or %s for operators", name, Clients, Operators)
		}
		if err := s.add(managed+name, int(f.Fd()), false); err != nil {
			return fmt.Errorf("the socket %q of the service manager: %w", name, err)
		}
		f.Close()
	}
	return nil
}

// add makes a listener of a descriptor, which it leaves open. The path of a Unix socket
// outlives the listener, until Settle.
func (s *Sockets) add(name string, fd int, left bool) error {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return errors.New("it is no listening stream socket (ListenStream= with Accept=no)")
	}
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(copied), name)
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		return err
	}
	kept := -1
	if left {
		kept = fd
	}
	s.list = append(s.list, &socket{name: name, ln: ln, fd: kept})
	return nil
}

// Named returns the sockets that the service manager calls so, empty for none.
func (s *Sockets) Named(name string) (list []net.Listener) {
	for _, k := range s.list {
		if k.name == managed+name {
			k.used = true
			list = append(list, k.ln)
		}
	}
	return list
}

// Open returns the socket of that name which another program has left, or else makes
// one. The name says all that matters of it, such as a flag and its value.
func (s *Sockets) Open(name string, listen func() (net.Listener, error)) (net.Listener, error) {
	for _, k := range s.list {
		if k.name == name && !k.used {
			k.used = true
			return k.ln, nil
		}
	}
	ln, err := listen()
	if err != nil {
		return nil, err
	}
	s.list = append(s.list, &socket{name: name, ln: ln, fd: -1, used: true, own: true})
	return ln, nil
}

// Settle closes what nobody has asked for, and the descriptors that the sockets were
// given by: from here on the old program can't come back.
func (s *Sockets) Settle() (unused []string) {
	var left []*socket
	for _, k := range s.list {
		if k.fd >= 0 {
			unix.Close(k.fd)
			k.fd = -1
		}
		if u, ok := k.ln.(*net.UnixListener); ok && k.own {
			u.SetUnlinkOnClose(true)
		}
		if k.used {
			left = append(left, k)
		} else {
			k.ln.Close()
			unused = append(unused, strings.TrimPrefix(k.name, managed))
		}
	}
	s.list = left
	return unused
}

// Keep makes copies of all sockets, which stay open when their listeners are closed,
// and leaves the paths of Unix sockets in place.
func (s *Sockets) Keep() (kept []Listener, err error) {
	for _, k := range s.list {
		fd := -1
		if c, ok := k.ln.(syscall.Conn); ok {
			raw, e := c.SyscallConn()
			if e == nil {
				e = raw.Control(func(from uintptr) { fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 3) })
			}
			err = errors.Join(err, e)
		}
		if err != nil || fd < 0 {
			for _, l := range kept {
				unix.Close(l.FD)
			}
			return nil, fmt.Errorf("cannot keep the socket %q: %w", k.name, err)
		}
		kept = append(kept, Listener{Name: k.name, FD: fd, Own: k.own})
	}
	for _, k := range s.list {
		if u, ok := k.ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
	}
	return kept, nil
}
