//go:build real

package outside

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// socketActivate is a relay that systemd-socket-activate executes at the first
// connection. It passes on the sockets given, whose names are in names, and opens one
// more, at the path of a Unix socket.
func socketActivate(t *testing.T, dir, path, names string, sockets ...net.Listener) *relaytest.Relay {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	r := relaytest.New(t, dir)
	// It takes sockets that it was given for its own, as the relay does.
	script := `LISTEN_PID=$$ LISTEN_FDS=` + strconv.Itoa(len(sockets)) + `; export LISTEN_PID LISTEN_FDS; exec "$@"`
	args := []string{"sh", "-c", script, "sh", "systemd-socket-activate", "--fdname=" + names, "--listen=" + path}
	r.Cmd.Path, r.Cmd.Args = shell, append(args, r.Cmd.Args...)
	for _, ln := range sockets {
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		r.Cmd.ExtraFiles = append(r.Cmd.ExtraFiles, f)
	}
	return r.Launch()
}

// systemd starts the relay with its sockets at the first connection: two for clients,
// one for operators, and a Unix socket. While the relay is started anew, again and again,
// they stay open, and every request over a new connection is answered.
func TestReal_SystemdSocketActivate(t *testing.T) {
	var sockets []net.Listener
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		sockets = append(sockets, ln)
	}
	folder, err := os.MkdirTemp("", "relay") // a path short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	dir, path := t.TempDir(), filepath.Join(folder, "relay.sock")
	start := func() *relaytest.Relay {
		return socketActivate(t, dir, path, "cowrelay:admin:cowrelay:cowrelay", sockets...)
	}
	ask := func(url string) error {
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		if url == "" {
			url = "http://relay"
			client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}
		}
		res, err := client.Get(url + "/healthz")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, res.Status)
		}
		return nil
	}
	one, admin, two := "http://"+sockets[0].Addr().String(), "http://"+sockets[1].Addr().String(), "http://"+sockets[2].Addr().String()

	r := start()
	if err := ask(one); err != nil { // this one has it started
		t.Fatalf("the first request: %v\n%s", err, r.Log.String())
	}
	r.Ready()
	for _, url := range []string{two, admin, ""} {
		if err := ask(url); err != nil {
			t.Errorf("%v\n%s", err, r.Log.String())
		}
	}
	r.URL = one // its log names all of them
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 200))

	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answered atomic.Int64
	for i := range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := ask([]string{one, two}[i%2]); err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				answered.Add(1)
			}
		})
	}
	more := func() { // clients go on
		t.Helper()
		for n, end := answered.Load(), time.Now().Add(time.Minute); answered.Load() < n+20; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nobody is answered:\n%s", r.Log.String())
			}
		}
	}
	for range 3 {
		more()
		r.Signal(syscall.SIGTERM)
		if code := r.Wait(time.Minute); code != 0 {
			t.Fatalf("exit %d:\n%s", code, r.Log.String())
		}
		os.Remove(path) // systemd would keep this one open as well, and so would we
		r = start().Ready()
	}
	more()
	close(stop)
	clients.Wait()
	r.URL = one
	if events := r.Pull(s, ""); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	r.Stop()

	// A name that the relay does not know ends its start.
	r = socketActivate(t, dir, path, "web:admin:cowrelay:cowrelay", sockets...)
	client, err := net.Dial("tcp", sockets[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if code := r.Wait(time.Minute); code == 0 {
		t.Error("a socket with another name is taken")
	}
	relaytest.Contains(t, r.Log.String(), "FileDescriptorName=")
}
