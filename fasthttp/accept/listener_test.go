package accept

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// faultyListener fails as often as it has errors, and then waits.
type faultyListener struct {
	net.Listener
	errs   []error
	conn   net.Conn
	tried  []time.Time
	closed chan struct{}
}

func (l *faultyListener) Accept() (net.Conn, error) {
	l.tried = append(l.tried, time.Now())
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, &net.OpError{Op: "accept", Err: net.ErrClosed}
}

func (l *faultyListener) Close() error { close(l.closed); return nil }

func acceptError(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

// Errors that pass are waited out, longer each time, counted by reason, and
// logged once in a while.
func TestListener_WaitsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		l := &faultyListener{conn: here, closed: make(chan struct{})}
		passing := []error{
			syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM,
			syscall.ENETDOWN, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH, syscall.EINTR, syscall.ETIMEDOUT, syscall.ENOSPC,
		}
		for _, err := range passing {
			l.errs = append(l.errs, acceptError(err))
		}
		log := new(bytes.Buffer)
		a := New(l, NewPlaces("public", 10), slog.New(slog.NewTextHandler(log, nil)))
		c, err := a.Accept()
		if c != here || err != nil {
			t.Fatalf("%v, %v", c, err)
		}
		want := 5 * time.Millisecond
		for i := 1; i < len(l.tried); i++ {
			if took := l.tried[i].Sub(l.tried[i-1]); took != want {
				t.Errorf("attempt %d after %v, want %v", i, took, want)
			}
			want = min(2*want, time.Second)
		}
		counted := map[string]uint64{}
		a.Places.Errors(func(reason string, n uint64) { counted[reason] = n })
		for _, r := range acceptReasons[:7] {
			if counted[r.name] != 1 {
				t.Errorf("%s: %v", r.name, counted)
			}
		}
		if counted["other"] != 8 || len(counted) != len(acceptReasons) {
			t.Errorf("%v", counted)
		}
		if n := strings.Count(log.String(), "cannot accept"); n != 1 {
			t.Errorf("%d lines in %v:\n%s", n, time.Since(l.tried[0]), log)
		}

		// Closed while it waits, it ends at once.
		for range 20 {
			l.errs = append(l.errs, acceptError(syscall.EMFILE))
		}
		ended := make(chan error)
		go func() {
			_, err := a.Accept()
			ended <- err
		}()
		time.Sleep(3500 * time.Millisecond) // into a wait of a second
		start := time.Now()
		a.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestListener_Final(t *testing.T) {
	for _, err := range []error{acceptError(syscall.EBADF), acceptError(syscall.EINVAL), acceptError(syscall.ENOTSOCK), acceptError(syscall.EFAULT), net.ErrClosed, io.EOF} {
		l := &faultyListener{errs: []error{err}, closed: make(chan struct{})}
		if _, got := New(l, NewPlaces("public", 10), slog.New(slog.DiscardHandler)).Accept(); got != err {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// A place that becomes free ends the wait for a descriptor.
func TestListener_FreedPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		l := &faultyListener{conn: here, closed: make(chan struct{})}
		for range 10 {
			l.errs = append(l.errs, acceptError(syscall.EMFILE))
		}
		a := New(l, NewPlaces("public", 10), slog.New(slog.DiscardHandler))
		start := time.Now()
		for range 9 {
			time.AfterFunc(time.Millisecond, func() { a.Places.freed <- struct{}{} })
		}
		if _, err := a.Accept(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%v", took)
		}
	})
}
