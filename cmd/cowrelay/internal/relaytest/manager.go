package relaytest

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Manager is a service manager as a process sees it: a socket that takes
// messages.
type Manager struct {
	t    *testing.T
	mu   sync.Mutex
	got  []string
	path string
}

// StartManager has the processes that t starts find a service manager, which says
// that it watches them every two seconds.
func StartManager(t *testing.T) *Manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{t: t, path: filepath.Join(dir, "s")}
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

// Messages returns what came.
func (m *Manager) Messages() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// Await returns when n messages with the text have come, and where the last of
// them stands.
func (m *Manager) Await(n int, text string) int {
	m.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		seen := 0
		for i, message := range m.Messages() {
			if strings.Contains(message, text) {
				if seen++; seen == n {
					return i
				}
			}
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%d messages of %d with %q came: %q", seen, n, text, m.Messages())
		}
	}
}

// Count is how often the text is in what came.
func (m *Manager) Count(text string) (n int) {
	for _, message := range m.Messages() {
		n += strings.Count(message, text)
	}
	return n
}

// Serving finds a relay whose log says nothing: the message to its service
// manager that it serves names its address.
func (m *Manager) Serving() (url string) {
	m.t.Helper()
	at := m.Await(1, "READY=1")
	text := m.Messages()[at]
	_, rest, _ := strings.Cut(text, " on ")
	address, _, _ := strings.Cut(rest, ",")
	return "http://" + address
}
