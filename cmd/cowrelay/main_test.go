package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests of this package run the real binary, as it is released, over real
// sockets. They end only processes that they started.

var (
	binary string // what is tested

	update = flag.Bool("update", false, "write the manual's generated tables")
)

// launchers prepare this process by what only it can do to itself, and then
// become the relay. The test binary runs itself with their name.
var launchers = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && launchers[os.Args[1]] != nil {
		launchers[os.Args[1]](os.Args[2:])
	}
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "cowrelay-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		os.Chmod(dir, 0o755) // a test runs the binary as another user
		binary = filepath.Join(dir, "cowrelay")
		build := exec.Command("go", "build", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build cowrelay: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// cleanEnv is the environment without what configures a relay.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") && !strings.HasPrefix(v, "GOMEMLIMIT=") {
			env = append(env, v)
		}
	}
	return env
}

// command runs the binary to its end, within ten seconds.
func command(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(cleanEnv(), env...)
	return finish(t, cmd)
}

func finish(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("%v did not end\n%s", cmd.Args, errs.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// fullDisk is an output that has no room for a byte. Only Linux has one for
// everybody.
func fullDisk(t *testing.T) *os.File {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil && runtime.GOOS != "linux" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	return full
}

// relay is a running process.
type relay struct {
	t          testing.TB
	cmd        *exec.Cmd
	log        lockedBuffer
	url, admin string // http://host:port
	exited     chan struct{}
}

// newRelay prepares a relay on the folder, on ports that the system chooses.
func newRelay(t testing.TB, dir string, args ...string) *relay {
	r := &relay{t: t, exited: make(chan struct{})}
	r.cmd = exec.Command(binary, append([]string{"serve", "--bind=127.0.0.1:0", "--admin=127.0.0.1:0", "--data-dir=" + dir, "--log-format=json"}, args...)...)
	r.cmd.Env = cleanEnv()
	return r
}

// startRelay returns when the relay serves.
func startRelay(t testing.TB, dir string, args ...string) *relay {
	t.Helper()
	return newRelay(t, dir, args...).start()
}

// launch starts the process and does not wait for it.
func (r *relay) launch() *relay {
	r.t.Helper()
	r.cmd.Stderr = &r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		r.cmd.Wait()
		close(r.exited)
	}()
	r.t.Cleanup(r.kill)
	return r
}

func (r *relay) start() *relay {
	r.t.Helper()
	return r.launch().ready()
}

// ready returns when the relay serves.
func (r *relay) ready() *relay {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if line := r.logged("serving"); line != nil {
			r.url, r.admin = "http://"+line["bind"].(string), "http://"+line["admin"].(string)
			return r
		}
		select {
		case <-r.exited:
			r.t.Fatalf("the relay ended (%v):\n%s", r.cmd.ProcessState, r.log.String())
		default:
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the relay does not serve:\n%s", r.log.String())
		}
	}
}

// logged returns the first log line with the message, or nil.
func (r *relay) logged(message string) map[string]any {
	for line := range strings.Lines(r.log.String()) {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) == nil && v["msg"] == message {
			return v
		}
	}
	return nil
}

// kill is kill -9.
func (r *relay) kill() {
	r.cmd.Process.Kill()
	<-r.exited
}

func (r *relay) signal(sig syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatalf("%v: %v\n%s", sig, err, r.log.String())
	}
}

// wait returns the exit status (-1: a signal), or fails after limit.
func (r *relay) wait(limit time.Duration) int {
	r.t.Helper()
	select {
	case <-r.exited:
	case <-time.After(limit):
		r.t.Fatalf("the relay did not end within %v:\n%s", limit, r.log.String())
	}
	return r.cmd.ProcessState.ExitCode()
}

// stop ends the relay as an operator would.
func (r *relay) stop() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	if code := r.wait(15 * time.Second); code != 0 {
		r.t.Fatalf("exit %d:\n%s", code, r.log.String())
	}
}

// lockedBuffer is written by one and read by others.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// contains fails unless text holds every part.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
}
