package life

import (
	"net/http"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A disk that hangs is no reason to end the process: while the store opens the
// service manager is asked for time, and afterwards it hears that the relay
// lives, though nothing can be written.
func TestSupervisor_PatientWithASlowDisk(t *testing.T) {
	dir := t.TempDir()
	r := relaytest.Start(t, dir)
	s := r.Allocate()
	r.Kill()

	m := relaytest.StartManager(t)
	trap := new(relaytest.SyncTrap)
	release := trap.HoldAllSyncs()
	defer release()
	r = relaytest.LaunchTrap(t, trap, dir)
	trap.Await(t)
	m.Await(1, "EXTEND_TIMEOUT_USEC=")
	for deadline := time.Now().Add(time.Minute); r.Logged("starting") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not start:\n%s", r.Log.String())
		}
	}
	admin := "http://" + r.Logged("starting")["admin"].(string)
	if _, errs, code := relaytest.Command(t, nil, "health", "--url", admin); code != 1 {
		t.Errorf("health while it opens its store: exit %d, %s", code, errs)
	}
	if out, errs, code := relaytest.Command(t, nil, "health", "--url", admin, "--alive"); code != 0 {
		t.Errorf("health --alive while it opens its store: exit %d, %s %s", code, out, errs)
	}
	if m.Count("READY=1") != 0 {
		t.Errorf("ready before the store is open: %q", m.Messages())
	}
	release()
	r.Ready()
	m.Await(1, "READY=1")

	release = trap.HoldSyncs()
	waits := trap.Count()
	posted := make(chan error, 1)
	go func() {
		_, _, err := s.Send(http.DefaultClient, "POST", r.EventsURL(s), relaytest.PostBody(relaytest.Event("a", 0, 300)))
		posted <- err
	}()
	for deadline := time.Now().Add(time.Minute); trap.Count() == waits; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the post is not synced")
		}
	}
	m.Await(m.Count("WATCHDOG=1")+3, "WATCHDOG=1")
	release()
	if err := <-posted; err != nil {
		t.Error(err)
	}
	r.Stop()
}
