package accept

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Listener is a listener whose Accept waits out errors that pass: a lack of
// descriptors or memory, a connection that broke before it was accepted, and
// errors of the network that Linux reports through accept. Accept returns an
// error when the listener is closed, or can never work.
//
// Upstream takes every error of Accept but a time-out for the end.
type Listener struct {
	net.Listener
	Places *Places
	log    *slog.Logger

	loggedUnix atomic.Int64 // when an error was logged last
	once       sync.Once    // for Close
	done       chan struct{}
}

// New returns a listener over ln, for connections of these places.
func New(ln net.Listener, places *Places, log *slog.Logger) *Listener {
	return &Listener{Listener: ln, Places: places, log: log, done: make(chan struct{})}
}

// Done is closed by Close.
func (a *Listener) Done() <-chan struct{} { return a.done }

// Close implements net.Listener. To close again does nothing.
func (a *Listener) Close() (err error) {
	a.once.Do(func() {
		close(a.done)
		err = a.Listener.Close()
	})
	return err
}

const (
	acceptLeastWait = 5 * time.Millisecond
	acceptMostWait  = time.Second
	acceptLogEvery  = 10 // seconds
)

// Accept implements net.Listener.
func (a *Listener) Accept() (net.Conn, error) {
	for wait := acceptLeastWait; ; wait = min(2*wait, acceptMostWait) {
		c, err := a.Listener.Accept()
		if err == nil {
			return c, nil
		}
		select {
		case <-a.done:
			return nil, net.ErrClosed
		default:
		}
		reason, passes := acceptReason(err)
		if !passes {
			return nil, err
		}
		n := a.Places.errs[reason].Add(1)
		if now := time.Now().Unix(); now-a.loggedUnix.Load() >= acceptLogEvery {
			a.loggedUnix.Store(now)
			a.log.Warn("cannot accept a connection; trying again", "listener", a.Places.Name, "error", err, "reason", acceptReasons[reason].name, "times", n)
		}
		if acceptReasons[reason].crowded {
			a.Places.MakeRoom()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.Places.freed: // a descriptor has become free
		case <-a.done:
		}
		timer.Stop()
	}
}

// acceptReasons are the labels of errors that pass. The end of another connection
// may help against those that are crowded.
var acceptReasons = [...]struct {
	name    string
	errno   syscall.Errno
	crowded bool
}{
	{"emfile", syscall.EMFILE, true},
	{"enfile", syscall.ENFILE, true},
	{"enobufs", syscall.ENOBUFS, false},
	{"enomem", syscall.ENOMEM, false},
	{"econnaborted", syscall.ECONNABORTED, false},
	{"eproto", syscall.EPROTO, false},
	{"eperm", syscall.EPERM, false}, // a firewall's rule
	{"other", 0, false},
}

// acceptReason says which of acceptReasons err is, and whether it passes. Only
// errors that mean "not a listener, or not any more" do not pass: they are few,
// while accept can return many errors of the network.
func acceptReason(err error) (reason int, passes bool) {
	other := len(acceptReasons) - 1
	if errors.Is(err, net.ErrClosed) {
		return other, false
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		var timeout net.Error
		return other, errors.As(err, &timeout) && timeout.Timeout()
	}
	switch errno {
	case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EFAULT:
		return other, false
	}
	for i, r := range acceptReasons {
		if r.errno == errno {
			return i, true
		}
	}
	return other, true
}

// Errors calls show for each reason with how often Accept met it.
func (s *Places) Errors(show func(reason string, n uint64)) {
	for i, r := range acceptReasons {
		show(r.name, s.errs[i].Load())
	}
}
