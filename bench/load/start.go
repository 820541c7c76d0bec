package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"cowrelay/bench/proc"
	"cowrelay/bench/wire"
)

// StartTimeout is the longest time from a server's start to its readiness.
const StartTimeout = 60 * time.Second

// Attach returns a relay that runs already.
func Attach(target string, pid int) (*Server, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("target %q: want http://host[:port]", target)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return &Server{
		Name: "relay", Addr: net.JoinHostPort(u.Hostname(), port),
		Prefix: strings.TrimRight(u.EscapedPath(), "/"), PID: pid,
	}, nil
}

// FreePort returns a loopback address whose port is free at this moment. It is
// below the ports that connect chooses from, so that no connection takes it
// before the server does, nor while a killed server is started again.
func FreePort() (string, error) {
	var last error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(20_000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		last = err
	}
	return "", fmt.Errorf("cannot find a free port: %w", last)
}

// StartRelay starts the relay's binary with its data in dir/relay, and waits
// until it is ready. via runs it, as the beginning of its command line; none by
// default.
func StartRelay(ctx context.Context, via []string, path string, args []string, dir string) (*Server, error) {
	bind, err := FreePort()
	if err != nil {
		return nil, err
	}
	admin, err := FreePort()
	if err != nil {
		return nil, err
	}
	argv := slices.Concat(via, []string{path, "serve", "--bind", bind, "--data-dir", dir + "/relay", "--admin", admin}, args)
	p, err := proc.Start(dir, "relay", argv)
	if err != nil {
		return nil, err
	}
	if slices.Contains(args, "--tls-cert") {
		bind = wire.TLS + bind
	}
	s := &Server{Name: "relay", Addr: bind, Admin: admin, PID: p.PID(), Proc: p}
	if err := s.AwaitReady(ctx, bind, "/readyz"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// AwaitReady asks for path until the answer is 200.
func (s *Server) AwaitReady(ctx context.Context, addr, path string) error {
	return s.Await(ctx, func() error { return s.ready(ctx, addr, path) })
}

// Await calls ask until it returns no error, the server ends, or StartTimeout
// has passed.
func (s *Server) Await(ctx context.Context, ask func() error) error {
	end := time.Now().Add(StartTimeout)
	last := errors.New("not asked yet")
	for time.Now().Before(end) {
		if s.Proc.Ended() {
			return fmt.Errorf("the %s ended while starting", s.Name)
		}
		if last = ask(); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("the %s was not ready after %v: %w\n%s", s.Name, StartTimeout, last, s.Proc.Tail())
}

func (s *Server) ready(ctx context.Context, addr, path string) error {
	c, err := wire.Dial(ctx, addr, wire.SmallBuffer)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.TCP.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	h, err := c.Send(s.requestHead("GET", path, "", 0))
	if err != nil {
		return err
	}
	if h.Status != 200 {
		return fmt.Errorf("%s answered %d", path, h.Status)
	}
	return nil
}
