package life

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// launchHeld starts a relay over a store with one event that the disk keeps
// from opening until release is called.
func launchHeld(t *testing.T) (r *relaytest.Relay, dir string, s relaytest.Slot, release func()) {
	t.Helper()
	dir = t.TempDir()
	r = relaytest.Start(t, dir)
	s = r.Allocate()
	r.Post(s, relaytest.Event("a", 0, 300))
	r.Kill()

	trap := new(relaytest.SyncTrap)
	release = trap.HoldAllSyncs()
	r = relaytest.LaunchTrap(t, trap, dir)
	t.Cleanup(release) // before the cleanup that ends the relay
	trap.Await(t)
	return r, dir, s, release
}

// While the store opens, here held up by its disk, operators hear that the
// relay is alive and not ready; then it is.
func TestStarting_AliveAndNotReady(t *testing.T) {
	t.Parallel()
	r, _, s, release := launchHeld(t)
	for deadline := time.Now().Add(time.Minute); r.Logged("starting") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell:\n%s", r.Log.String())
		}
	}
	admin := "http://" + r.Logged("starting")["admin"].(string)
	awaitStatus(t, admin+"/healthz", http.StatusOK)
	for _, path := range []string{"/readyz", "/metrics"} {
		awaitStatus(t, admin+path, http.StatusServiceUnavailable)
	}
	if r.Logged("serving") != nil {
		t.Fatal("it serves while the store is not open")
	}
	release()
	r.Ready()
	awaitStatus(t, admin+"/readyz", http.StatusOK)
	awaitStatus(t, admin+"/metrics", http.StatusOK)
	if n := len(r.Pull(s, "")); n != 1 {
		t.Errorf("%d events", n)
	}
}

// A signal while the store opens ends the process at once, and what it held is
// there at the next start.
func TestStarting_SignalWhileTheStoreOpens(t *testing.T) {
	t.Parallel()
	r, dir, s, release := launchHeld(t)
	if err := r.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); r.Logged("ending before the store is open") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it goes on:\n%s", r.Log.String())
		}
	}
	release() // the thread that the trap holds can't end
	<-r.Exited
	if code := r.Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d:\n%s", code, r.Log.String())
	}
	r = relaytest.Start(t, dir)
	if n := len(r.Pull(s, "")); n != 1 {
		t.Errorf("%d events", n)
	}
	r.Stop()
}
