package relaytest

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Relay is a process of the relay. New makes it, and t's end kills it.
type Relay struct {
	T             testing.TB
	Cmd           *exec.Cmd
	Log           Buffer
	URL, AdminURL string // http://host:port
	Exited        chan struct{}
}

// New prepares a relay on the folder, on ports that the system chooses. It is not
// started, so that a test can change Cmd.
func New(t testing.TB, dir string, args ...string) *Relay {
	r := &Relay{T: t, Exited: make(chan struct{})}
	r.Cmd = exec.Command(Binary, append([]string{"serve", "--bind=127.0.0.1:0", "--admin=127.0.0.1:0", "--data-dir=" + dir, "--log-format=json"}, args...)...)
	r.Cmd.Env = CleanEnv()
	return r
}

// Start starts a relay on the folder and returns when it serves.
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

// Start starts the process and returns when it serves.
func (r *Relay) Start() *Relay {
	r.T.Helper()
	return r.Launch().Ready()
}

// Ready returns when the relay serves.
func (r *Relay) Ready() *Relay {
	r.T.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
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

// Kill is kill -9.
func (r *Relay) Kill() {
	r.Cmd.Process.Kill()
	<-r.Exited
}

// Signal sends a signal.
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
	if code := r.Wait(time.Minute); code != 0 {
		r.T.Fatalf("exit %d:\n%s", code, r.Log.String())
	}
}
