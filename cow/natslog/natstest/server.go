package natstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// StartTimeout is how long a server or a cluster may take to start.
const StartTimeout = 60 * time.Second

// Server is one nats-server. Its methods may not be called concurrently.
type Server struct {
	Name string

	program string
	dir     string // configuration, log and store
	addr    string // clients
	monitor string // monitoring port
	proc    *process
	// Front stands between clients and the server, if the cluster has proxies.
	Front *Proxy
}

// process is a running program.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is gone
	err  error         // of Wait, set before done is closed
}

// Config is what a server's configuration has beside what a test needs anyway.
type Config struct {
	// Sync is sync_interval. Default always.
	Sync string
	// Extra is put into the configuration as it is.
	Extra string
}

// StartServer starts one server that is in no cluster. Its files are in dir.
func StartServer(ctx context.Context, dir string, c Config) (*Server, error) {
	path, err := Program(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: "n1", program: path, dir: dir}
	if err := s.configure(c, ""); err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, s.await(ctx)
}

// StartFile starts a server with a configuration of the caller's, whose monitoring port
// is at monitor ("host:port"). Its log is in dir.
func StartFile(ctx context.Context, dir, name, config, addr, monitor string) (*Server, error) {
	path, err := Program(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, program: path, dir: dir, addr: addr, monitor: monitor}
	if err := os.WriteFile(s.file("conf"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	return s, s.Start()
}

func (s *Server) file(kind string) string { return filepath.Join(s.dir, s.Name+"."+kind) }

// configure writes the configuration.
func (s *Server) configure(c Config, cluster string) error {
	var err error
	if s.addr, err = FreeAddr(); err != nil {
		return err
	}
	if s.monitor, err = FreeAddr(); err != nil {
		return err
	}
	if c.Sync == "" {
		c.Sync = "always"
	}
	text := fmt.Sprintf(`server_name: %s
listen: %q
http: %q
jetstream {
	store_dir: %q
	sync_interval: %s
	max_memory_store: 256MB
	max_file_store: 8GB
}
%s
%s
`, s.Name, s.addr, s.monitor, filepath.Join(s.dir, s.Name), c.Sync, cluster, c.Extra)
	return os.WriteFile(s.file("conf"), []byte(text), 0o600)
}

// Start starts a server that does not run, with what its folder holds. It does not wait
// until it serves.
func (s *Server) Start() error {
	if s.Running() {
		return fmt.Errorf("natstest: %s runs already", s.Name)
	}
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.program, "-c", s.file("conf"))
	cmd.Stdout, cmd.Stderr = log, log
	// It ends with us, however we end. Our Ctrl-C is not its.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("natstest: %w", err)
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	s.proc = p
	// Ends with the process, for which Kill and Stop wait.
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return nil
}

// Running says whether the process is there.
func (s *Server) Running() bool {
	if s.proc == nil {
		return false
	}
	select {
	case <-s.proc.done:
		return false
	default:
		return true
	}
}

// PID of the process, 0 if there is none.
func (s *Server) PID() int {
	if !s.Running() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// signal sends a signal to the process. One that is gone is no error.
func (s *Server) signal(sig os.Signal) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Kill ends the process as a crash would, and waits until it is gone.
func (s *Server) Kill() error {
	if s.proc == nil {
		return nil
	}
	err := s.signal(syscall.SIGKILL)
	<-s.proc.done
	return err
}

// stopGrace is how long a server may take to end in order.
const stopGrace = 15 * time.Second

// Stop ends the process in order.
func (s *Server) Stop() error {
	if !s.Running() {
		return nil
	}
	if err := errors.Join(s.signal(syscall.SIGCONT), s.signal(syscall.SIGTERM)); err != nil {
		return err
	}
	select {
	case <-s.proc.done:
		return nil
	case <-time.After(stopGrace):
		return errors.Join(fmt.Errorf("natstest: %s did not end within %v", s.Name, stopGrace), s.Kill())
	}
}

// Pause stops the process without ending it: its connections stay and say nothing. Its
// threads stop one by one, so it may answer for a moment yet.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// URL for clients.
func (s *Server) URL() string {
	if s.Front != nil {
		return "nats://" + s.Front.Addr()
	}
	return "nats://" + s.addr
}

// Addr is where the server itself listens for clients, past the proxy.
func (s *Server) Addr() string { return s.addr }

// Monitor is the URL of the monitoring port.
func (s *Server) Monitor() string { return "http://" + s.monitor }

// Log is what the server wrote, the end of it.
func (s *Server) Log() string {
	text, _ := os.ReadFile(s.file("log"))
	const most = 8 << 10
	return string(text[max(0, len(text)-most):])
}

var monitorClient = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Ask reads a page of the monitoring port, such as "varz", into v.
func (s *Server) Ask(ctx context.Context, page string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Monitor()+"/"+page, nil)
	if err != nil {
		return err
	}
	resp, err := monitorClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("natstest: %s: %s: status %d: %s", s.Name, page, resp.StatusCode, text)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(text, v)
}

// await waits until the server says that it is well.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	for {
		if !s.Running() {
			return fmt.Errorf("natstest: %s ended by itself:\n%s", s.Name, s.Log())
		}
		err := s.Ask(ctx, "healthz", nil)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("natstest: %s does not serve: %w\n%s", s.Name, err, s.Log())
		}
	}
}

// Await waits until the server serves.
func (s *Server) Await(ctx context.Context) error { return s.await(ctx) }

// FreeAddr is an address on loopback that is free now. It is below the ports that the
// system gives to connections, so it stays free while a server is down.
func FreeAddr() (string, error) {
	for range 200 {
		addr := "127.0.0.1:" + strconv.Itoa(lowestPort+randomPort())
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		return addr, l.Close()
	}
	return "", errors.New("natstest: no free port on loopback")
}

// HostPort splits an address for a configuration.
func HostPort(addr string) (host string, port int) {
	h, p, _ := strings.Cut(addr, ":")
	port, _ = strconv.Atoi(p)
	return h, port
}
