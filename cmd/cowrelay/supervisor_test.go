package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager as a process sees it: a socket that takes
// messages.
type manager struct {
	t    *testing.T
	mu   sync.Mutex
	got  []string
	path string
}

// startManager listens where t's processes are told to, which it says it
// watches every two seconds.
func startManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, path: filepath.Join(dir, "s")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.got = append(m.got, string(buf[:n]))
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		conn.Close()
		reader.Wait()
		os.RemoveAll(dir)
	})
	t.Setenv("NOTIFY_SOCKET", m.path)
	t.Setenv("WATCHDOG_USEC", "2000000")
	t.Setenv("WATCHDOG_PID", "")
	return m
}

// messages returns what came.
func (m *manager) messages() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// await returns when n messages with the text have come, and where the last of
// them stands.
func (m *manager) await(n int, text string) int {
	m.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		seen := 0
		for i, message := range m.messages() {
			if strings.Contains(message, text) {
				if seen++; seen == n {
					return i
				}
			}
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%d messages of %d with %q came: %q", seen, n, text, m.messages())
		}
	}
}

func (m *manager) count(text string) (n int) {
	for _, message := range m.messages() {
		n += strings.Count(message, text)
	}
	return n
}

// The service manager hears of the start, that the relay lives, of a reload and
// of the end, in this order.
func TestSupervisor_HearsOfALife(t *testing.T) {
	m := startManager(t)
	r := startRelay(t, t.TempDir())
	opening := m.await(1, "EXTEND_TIMEOUT_USEC=")
	ready := m.await(1, "READY=1")
	awaitStatus(t, r.admin+"/readyz", http.StatusOK)
	watched := m.await(2, "WATCHDOG=1")
	if opening > ready || ready > watched || m.count("READY=1") != 1 {
		t.Errorf("out of order: %q", m.messages())
	}
	contains(t, m.messages()[ready], "STATUS=serving 0 slots on "+strings.TrimPrefix(r.url, "http://"))

	r.signal(syscall.SIGHUP)
	reload := m.await(1, "RELOADING=1")
	contains(t, m.messages()[reload], "MONOTONIC_USEC=")
	if again := m.await(2, "READY=1"); again < reload {
		t.Errorf("out of order: %q", m.messages())
	}

	r.stop()
	m.await(1, "STOPPING=1\nSTATUS=draining")
	if all := m.messages(); !strings.HasPrefix(all[len(all)-1], "STOPPING=1") {
		t.Errorf("after the last word: %q", all)
	}
}

// A relay that does not answer itself says so instead of that it lives, until
// it answers again.
func TestSupervisor_OnlyWhileAlive(t *testing.T) {
	m := startManager(t)
	s := newSupervisor(slog.New(slog.DiscardHandler))
	defer s.stopping("done")
	var sick atomic.Bool
	sick.Store(true)
	s.serving(func(context.Context) error {
		if sick.Load() {
			return errors.New("it hangs")
		}
		return nil
	}, func() string { return "well" })
	m.await(1, "STATUS=does not answer itself: it hangs")
	sick.Store(false)
	m.await(1, "READY=1")
	m.await(1, "WATCHDOG=1")
	earlier := m.count("it hangs")
	sick.Store(true)
	first, second := m.await(earlier+1, "it hangs"), m.await(earlier+2, "it hangs")
	if n := m.count("READY=1"); n != 1 {
		t.Errorf("ready %d times", n)
	}
	if all := m.messages(); second != first+1 {
		t.Errorf("it is said to live: %q", all[first:second])
	}
	sick.Store(false)
	m.await(m.count("WATCHDOG=1")+1, "WATCHDOG=1")
}

// Without a service manager, and with one that went away, a relay serves.
func TestSupervisor_NobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	r := startRelay(t, t.TempDir())
	r.post(r.allocate(), testEvent("a", 0, 300))
	r.stop()
	contains(t, r.log.String(), "cannot tell the service manager")
}

func TestHealth(t *testing.T) {
	r := startRelay(t, t.TempDir())
	admin := strings.TrimPrefix(r.admin, "http://")
	bind := strings.TrimPrefix(r.url, "http://")
	_, port, err := net.SplitHostPort(admin)
	if err != nil {
		t.Fatal(err)
	}
	file := configFile(t, "admin = ''\nbind = '"+bind+"'\n")
	for _, how := range []struct {
		env  []string
		args []string
	}{
		{[]string{"COWRELAY_ADMIN=" + admin}, nil},
		{[]string{"COWRELAY_ADMIN=0.0.0.0:" + port}, nil},
		{[]string{"COWRELAY_ADMIN=:" + port}, []string{"--alive"}},
		{[]string{"COWRELAY_CONFIG=" + file}, nil},
		{nil, []string{"--config", file}},
		{nil, []string{"--url", r.url + "/"}},
		{nil, []string{"--url", r.admin, "--alive"}},
	} {
		out, errs, code := command(t, how.env, append([]string{"health"}, how.args...)...)
		if code != 0 || out != "ok\n" || errs != "" {
			t.Errorf("%v: exit %d, %q, %q", how, code, out, errs)
		}
	}
	r.stop()
	out, errs, code := command(t, nil, "health", "--url", r.admin)
	if code != 1 || out != "" {
		t.Errorf("of a relay that is gone: exit %d, %q", code, out)
	}
	contains(t, errs, "cowrelay health: cannot ask "+r.admin+"/readyz")
}
