package life

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// activated is a relay whose sockets are another process's, as a service manager gives
// them: descriptors from 3 on, for the process that LISTEN_PID names.
func activated(t *testing.T, dir, names string, sockets ...net.Listener) *relaytest.Relay {
	t.Helper()
	r := relaytest.New(t, dir)
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	script := `LISTEN_PID=$$ LISTEN_FDS=` + strconv.Itoa(len(sockets)) + ` LISTEN_FDNAMES=` + names + `; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec "$@"`
	r.Cmd.Path, r.Cmd.Args = shell, append([]string{"sh", "-c", script, "sh"}, r.Cmd.Args...)
	for _, ln := range sockets {
		f, err := ln.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		r.Cmd.ExtraFiles = append(r.Cmd.ExtraFiles, f)
	}
	return r
}

// Sockets of a service manager stand in the place of --bind and --admin. A connection
// that comes while no relay runs waits for the next one, and a hand-over keeps them.
func TestActivation(t *testing.T) {
	t.Parallel()
	clients, operators := listenLocal(t), listenLocal(t)
	dir := t.TempDir()
	r := activated(t, dir, "cowrelay:admin", clients, operators).Start()
	if r.URL != "http://"+clients.Addr().String() || r.AdminURL != "http://"+operators.Addr().String() {
		t.Fatalf("%s and %s", r.URL, r.AdminURL)
	}
	s := r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 200))
	handOver(r, 1)
	r.Post(s, relaytest.Event("a", 1, 200))
	r.Stop()
	early := newPlain(r, s)
	defer early.close()
	answered := make(chan error, 1)
	go func() {
		status, _, err := early.send("GET", "/v1/slot/"+s.ID+"/state", nil)
		if err == nil && status != http.StatusOK {
			err = http.ErrNotSupported
		}
		answered <- err
	}()
	r = activated(t, dir, "cowrelay:admin", clients, operators).Start()
	select {
	case err := <-answered:
		if err != nil {
			t.Errorf("the connection that waited: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the connection that waited is not answered")
	}
	if events := r.Pull(s, ""); len(events) != 2 {
		t.Errorf("%d events", len(events))
	}
	r.Stop()
}

// A socket with another name is refused, and the log says which names there are.
func TestActivation_WrongName(t *testing.T) {
	t.Parallel()
	r := activated(t, t.TempDir(), "web", listenLocal(t)).Launch()
	if code := r.Wait(time.Minute); code == 0 || !strings.Contains(r.Log.String(), "FileDescriptorName=") {
		t.Errorf("exit %d: %s", code, r.Log.String())
	}
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}
