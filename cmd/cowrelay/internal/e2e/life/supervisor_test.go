package life

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The service manager hears of the start, that the relay lives, of a reload and
// of the end, in this order.
func TestSupervisor_HearsOfALife(t *testing.T) {
	m := relaytest.StartManager(t)
	r := relaytest.Start(t, t.TempDir())
	opening := m.Await(1, "EXTEND_TIMEOUT_USEC=")
	ready := m.Await(1, "READY=1")
	awaitStatus(t, r.AdminURL+"/readyz", http.StatusOK)
	watched := m.Await(2, "WATCHDOG=1")
	if opening > ready || ready > watched || m.Count("READY=1") != 1 {
		t.Errorf("out of order: %q", m.Messages())
	}
	relaytest.Contains(t, m.Messages()[ready], "STATUS=serving 0 slots on "+strings.TrimPrefix(r.URL, "http://"))

	r.Signal(syscall.SIGHUP)
	reload := m.Await(1, "RELOADING=1")
	relaytest.Contains(t, m.Messages()[reload], "MONOTONIC_USEC=")
	if again := m.Await(2, "READY=1"); again < reload {
		t.Errorf("out of order: %q", m.Messages())
	}

	r.Stop()
	m.Await(1, "STOPPING=1\nSTATUS=draining")
	if all := m.Messages(); !strings.HasPrefix(all[len(all)-1], "STOPPING=1") {
		t.Errorf("after the last word: %q", all)
	}
}

// Without a service manager, and with one that went away, a relay serves.
func TestSupervisor_NobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	r := relaytest.Start(t, t.TempDir())
	r.Post(r.Allocate(), relaytest.Event("a", 0, 300))
	r.Stop()
	relaytest.Contains(t, r.Log.String(), "cannot tell the service manager")
}

func TestHealth(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	admin := strings.TrimPrefix(r.AdminURL, "http://")
	bind := strings.TrimPrefix(r.URL, "http://")
	_, port, err := net.SplitHostPort(admin)
	if err != nil {
		t.Fatal(err)
	}
	file := relaytest.ConfigFile(t, "admin = ''\nbind = '"+bind+"'\n")
	for _, how := range []struct {
		env  []string
		args []string
	}{
		{[]string{"COWRELAY_ADMIN=" + admin}, nil},
		{[]string{"COWRELAY_ADMIN=0.0.0.0:" + port}, nil},
		{[]string{"COWRELAY_ADMIN=:" + port}, []string{"--alive"}},
		{[]string{"COWRELAY_CONFIG=" + file}, nil},
		{nil, []string{"--config", file}},
		{nil, []string{"--url", r.URL + "/"}},
		{nil, []string{"--url", r.AdminURL, "--alive"}},
	} {
		out, errs, code := relaytest.Command(t, how.env, append([]string{"health"}, how.args...)...)
		if code != 0 || out != "ok\n" || errs != "" {
			t.Errorf("%v: exit %d, %q, %q", how, code, out, errs)
		}
	}
	r.Stop()
	out, errs, code := relaytest.Command(t, nil, "health", "--url", r.AdminURL)
	if code != 1 || out != "" {
		t.Errorf("of a relay that is gone: exit %d, %q", code, out)
	}
	relaytest.Contains(t, errs, "cowrelay health: cannot ask "+r.AdminURL+"/readyz")
}
