package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// startTimeout bounds the time from start to readiness of a server.
const startTimeout = 60 * time.Second

// A side is one of the two servers that are compared.
type side struct {
	name   string // "relay", "bound", or that of a peer
	addr   string // host:port
	admin  string // host:port of the relay's admin listener; empty: unknown
	prefix string // path before /v1
	header string // a further header line of requests, "" for none
	pid    int    // 0: unknown, so there is no CPU figure
	proc   *child // nil: it was running before
	// dialect is what a peer over HTTP has in the place of the relay's
	// protocol; nil for a side that speaks this.
	dialect dialect
}

func (s *side) bound() bool { return s.name == "bound" }

func (s *side) stop() error {
	if s == nil || s.proc == nil {
		return nil
	}
	if err := s.proc.stop(); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// attach is the relay side for a relay that runs already.
func attach(target string, pid int) (*side, error) {
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
	return &side{
		name: "relay", addr: net.JoinHostPort(u.Hostname(), port),
		prefix: strings.TrimRight(u.EscapedPath(), "/"), pid: pid,
	}, nil
}

// freePort returns a loopback port that is free at this moment. Another process
// can take it before the server does; then the start fails with a clear error.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startRelay starts the relay binary at path with an empty data folder in dir.
func startRelay(ctx context.Context, path string, args []string, dir string) (*side, error) {
	bind, err := freePort()
	if err != nil {
		return nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	argv := append([]string{path, "serve", "--bind", bind, "--data-dir", dir + "/relay", "--admin", admin}, args...)
	p, err := startChild(dir, "relay", argv)
	if err != nil {
		return nil, err
	}
	s := &side{name: "relay", addr: bind, admin: admin, pid: p.pid(), proc: p}
	if err := s.awaitReady(ctx, bind, "/readyz"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// startBound starts the bound server by the command self.
func startBound(ctx context.Context, self []string, b BoundConfig, dir string) (*side, error) {
	bind, err := freePort()
	if err != nil {
		return nil, err
	}
	b.Bind, b.Dir = bind, dir
	argv := append(append([]string{}, self...), b.args()...)
	p, err := startChild(dir, "bound", argv)
	if err != nil {
		return nil, err
	}
	s := &side{name: "bound", addr: bind, pid: p.pid(), proc: p}
	if err := s.awaitReady(ctx, bind, "/readyz"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// awaitReady asks for path until it answers 200.
func (s *side) awaitReady(ctx context.Context, addr, path string) error {
	return s.await(ctx, func() error { return s.ready(ctx, addr, path) })
}

// await asks until the answer is not an error.
func (s *side) await(ctx context.Context, ask func() error) error {
	end := time.Now().Add(startTimeout)
	last := errors.New("not asked yet")
	for time.Now().Before(end) {
		if s.proc.ended() {
			return fmt.Errorf("the %s ended while starting", s.name)
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
	return fmt.Errorf("the %s was not ready after %v: %w\n%s", s.name, startTimeout, last, s.proc.tail())
}

func (s *side) ready(ctx context.Context, addr, path string) error {
	c, err := dialRaw(ctx, addr, apiBuffer)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	h, err := c.send(s.requestHead("GET", path, "", 0))
	if err != nil {
		return err
	}
	if h.status != 200 {
		return fmt.Errorf("%s answered %d", path, h.status)
	}
	return nil
}

// fileSystem names the file system of dir, because fsync means nothing on some.
func fileSystem(dir string) string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at, err := strconv.Unquote(`"` + f[1] + `"`) // blanks are written \040
		if err != nil {
			at = f[1]
		}
		inside := at == "/" || dir == at || strings.HasPrefix(dir, at+"/")
		if inside && len(at) >= len(best) {
			best, kind = at, f[2]
		}
	}
	return kind
}
