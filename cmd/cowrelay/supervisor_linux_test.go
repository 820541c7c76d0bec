package main

import (
	"net/http"
	"testing"
	"time"
)

// A disk that hangs is no reason to end the process: while the store opens the
// service manager is asked for time, and afterwards it hears that the relay
// lives, though nothing can be written.
func TestSupervisor_PatientWithASlowDisk(t *testing.T) {
	dir := t.TempDir()
	r := startRelay(t, dir)
	s := r.allocate()
	r.kill()

	m := startManager(t)
	trap := new(syncTrap)
	release := trap.holdSyncs()
	defer release()
	r = launchTrap(t, trap, dir)
	trap.await(t)
	m.await(1, "EXTEND_TIMEOUT_USEC=")
	for deadline := time.Now().Add(20 * time.Second); r.logged("starting") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not start:\n%s", r.log.String())
		}
	}
	admin := "http://" + r.logged("starting")["admin"].(string)
	if _, errs, code := command(t, nil, "health", "--url", admin); code != 1 {
		t.Errorf("health while it opens its store: exit %d, %s", code, errs)
	}
	if out, errs, code := command(t, nil, "health", "--url", admin, "--alive"); code != 0 {
		t.Errorf("health --alive while it opens its store: exit %d, %s %s", code, out, errs)
	}
	if m.count("READY=1") != 0 {
		t.Errorf("ready before the store is open: %q", m.messages())
	}
	release()
	r.ready()
	m.await(1, "READY=1")

	release = trap.holdSyncs()
	waits := trap.count()
	posted := make(chan error, 1)
	go func() {
		_, _, err := s.send(http.DefaultClient, "POST", r.eventsURL(s), postBody(testEvent("a", 0, 300)))
		posted <- err
	}()
	for deadline := time.Now().Add(20 * time.Second); trap.count() == waits; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the post is not synced")
		}
	}
	m.await(m.count("WATCHDOG=1")+3, "WATCHDOG=1")
	release()
	if err := <-posted; err != nil {
		t.Error(err)
	}
	r.stop()
}
