package fasthttp

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// acceptor is a listener whose Accept waits out what passes: a lack of
// descriptors or memory, a connection that broke before it was taken, and the
// errors of the network that Linux tells in accept's place. Accept ends when
// the listener is closed, or can't ever work.
type acceptor struct {
	net.Listener
	places *places
	log    *slog.Logger

	logged atomic.Int64 // when an error was logged last, Unix seconds
	once   sync.Once
	done   chan struct{} // closed by Close
}

func newAcceptor(ln net.Listener, places *places, log *slog.Logger) *acceptor {
	return &acceptor{Listener: ln, places: places, log: log, done: make(chan struct{})}
}

// Close implements net.Listener. To close again does nothing.
func (a *acceptor) Close() (err error) {
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
func (a *acceptor) Accept() (net.Conn, error) {
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
		n := a.places.errs[reason].Add(1)
		if now := time.Now().Unix(); now-a.logged.Load() >= acceptLogEvery {
			a.logged.Store(now)
			a.log.Warn("cannot accept a connection; trying again", "listener", a.places.name, "error", err, "reason", acceptReasons[reason].name, "times", n)
		}
		if acceptReasons[reason].crowded {
			a.places.makeRoom()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-a.places.freed: // a descriptor has become free
		case <-a.done:
		}
		timer.Stop()
	}
}

// acceptReasons are the labels of errors that pass; crowded are those that the
// end of another connection may mend.
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

// acceptReason says which of acceptReasons err is, and whether it passes. What
// does not pass is a listener that is none, or none any more: accept can return
// so many errors of the network that only those few are worth naming.
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

func (s *places) writeAcceptErrors(w io.Writer, name string) {
	for i, r := range acceptReasons {
		metrics.WriteCounterUint64(w, name+`{listener="`+s.name+`",error="`+r.name+`"}`, s.errs[i].Load())
	}
}
