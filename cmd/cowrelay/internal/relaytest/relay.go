package relaytest

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

// Binary is what is tested: the relay as it is released.
var Binary string

// launchers prepare this process by what only it can do to itself, and then
// become the relay. The test binary runs itself with their name.
var launchers = map[string]func(args []string){}

// Main is TestMain of a package whose tests run the binary: it builds it
// once, runs the tests and exits.
func Main(m *testing.M) {
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
		Binary = filepath.Join(dir, "cowrelay")
		build := exec.Command("go", "build", "-o", Binary, "cowrelay/cmd/cowrelay")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build cowrelay: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// CleanEnv is the environment without what configures a relay.
func CleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "COWRELAY_") && !strings.HasPrefix(v, "GOMEMLIMIT=") {
			env = append(env, v)
		}
	}
	return env
}

// Command runs the binary to its end, within ten seconds.
func Command(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(Binary, args...)
	cmd.Env = append(CleanEnv(), env...)
	return Finish(t, cmd)
}

func Finish(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
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

// FullDisk is an output that has no room for a byte. Only Linux has one for
// everybody.
func FullDisk(t *testing.T) *os.File {
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

// Relay is a running process.
type Relay struct {
	T             testing.TB
	Cmd           *exec.Cmd
	Log           Buffer
	URL, AdminURL string // http://host:port
	Exited        chan struct{}
}

// New prepares a relay on the folder, on ports that the system chooses.
func New(t testing.TB, dir string, args ...string) *Relay {
	r := &Relay{T: t, Exited: make(chan struct{})}
	r.Cmd = exec.Command(Binary, append([]string{"serve", "--bind=127.0.0.1:0", "--admin=127.0.0.1:0", "--data-dir=" + dir, "--log-format=json"}, args...)...)
	r.Cmd.Env = CleanEnv()
	return r
}

// Start returns when the relay serves.
func Start(t testing.TB, dir string, args ...string) *Relay {
	t.Helper()
	return New(t, dir, args...).Start()
}

// Launch starts the process and does not wait for it.
func (r *Relay) Launch() *Relay {
	r.T.Helper()
	r.Cmd.Stderr = &r.Log
	if err := r.Cmd.Start(); err != nil {
		r.T.Fatal(err)
	}
	go func() {
		r.Cmd.Wait()
		close(r.Exited)
	}()
	r.T.Cleanup(r.Kill)
	return r
}

func (r *Relay) Start() *Relay {
	r.T.Helper()
	return r.Launch().Ready()
}

// Ready returns when the relay serves.
func (r *Relay) Ready() *Relay {
	r.T.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if line := r.Logged("serving"); line != nil {
			r.URL, r.AdminURL = "http://"+line["bind"].(string), "http://"+line["admin"].(string)
			return r
		}
		select {
		case <-r.Exited:
			r.T.Fatalf("the relay ended (%v):\n%s", r.Cmd.ProcessState, r.Log.String())
		default:
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("the relay does not serve:\n%s", r.Log.String())
		}
	}
}

// Logged returns the first log line with the message, or nil.
func (r *Relay) Logged(message string) map[string]any {
	for line := range strings.Lines(r.Log.String()) {
		var v map[string]any
		if json.Unmarshal([]byte(line), &v) == nil && v["msg"] == message {
			return v
		}
	}
	return nil
}

// Kill is kill -9.
func (r *Relay) Kill() {
	r.Cmd.Process.Kill()
	<-r.Exited
}

func (r *Relay) Signal(sig syscall.Signal) {
	r.T.Helper()
	if err := r.Cmd.Process.Signal(sig); err != nil {
		r.T.Fatalf("%v: %v\n%s", sig, err, r.Log.String())
	}
}

// Wait returns the exit status (-1: a signal), or fails after limit.
func (r *Relay) Wait(limit time.Duration) int {
	r.T.Helper()
	select {
	case <-r.Exited:
	case <-time.After(limit):
		r.T.Fatalf("the relay did not end within %v:\n%s", limit, r.Log.String())
	}
	return r.Cmd.ProcessState.ExitCode()
}

// Stop ends the relay as an operator would.
func (r *Relay) Stop() {
	r.T.Helper()
	r.Signal(syscall.SIGTERM)
	if code := r.Wait(15 * time.Second); code != 0 {
		r.T.Fatalf("exit %d:\n%s", code, r.Log.String())
	}
}

// Buffer is written by one and read by others.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Contains fails unless text holds every part.
func Contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

// Reload tells the relay to read its configuration again, and returns when it has
// said so once more.
func (r *Relay) Reload(says string) {
	r.T.Helper()
	before := strings.Count(r.Log.String(), says)
	if err := r.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.T.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); strings.Count(r.Log.String(), says) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.T.Fatalf("the relay does not say %q:\n%s", says, r.Log.String())
		}
	}
}

// AwaitLog waits until the log has a message, and returns its line.
func (r *Relay) AwaitLog(message string) map[string]any {
	r.T.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if line := r.Logged(message); line != nil {
			return line
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("the relay does not say %q:\n%s", message, r.Log.String())
		}
	}
}
