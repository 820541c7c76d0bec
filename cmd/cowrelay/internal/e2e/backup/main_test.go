// Package backup has the tests of backups that the built binary makes of a running
// relay, and of what is restored from them.
package backup

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestMain(m *testing.M) { relaytest.Main(m) }

// run runs a command of the binary, and fails unless it ends with the status.
func run(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := relaytest.Command(t, nil, args...)
	if code != status {
		t.Fatalf("cowrelay %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, status, stdout, stderr)
	}
	return stdout, stderr
}

// made is what backup --json says.
type made struct {
	Backup  string   `json:"backup"`
	Slots   int      `json:"slots"`
	Bytes   int64    `json:"bytes"`
	Sent    int64    `json:"sent_bytes"`
	Removed []string `json:"removed"`
}

// back makes a backup of the relay in the folder.
func back(t *testing.T, r *relaytest.Relay, dir string, more ...string) (m made) {
	t.Helper()
	out, _ := run(t, 0, append([]string{"backup", dir, "--json", "--admin=" + r.AdminURL}, more...)...)
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return m
}

// begin starts a backup in the background.
func begin(t *testing.T, r *relaytest.Relay, dir string, more ...string) (cmd *exec.Cmd, stderr *relaytest.Buffer) {
	t.Helper()
	cmd = exec.Command(relaytest.Binary, append([]string{"backup", dir, "--admin=" + r.AdminURL}, more...)...)
	cmd.Env, stderr = relaytest.CleanEnv(), new(relaytest.Buffer)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, stderr
}

// names are those in a folder, LOCK apart.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, f := range list {
		all = append(all, f.Name())
	}
	return all
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within two minutes", what)
		}
	}
}

// arriving waits until some bytes of a table of a backup are there.
func arriving(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "a backup that arrives", func() bool {
		tables, err := filepath.Glob(filepath.Join(dir, "*.partial", "*.sst"))
		return err == nil && len(tables) > 0
	})
}

// restored makes a data folder of a backup, verifies it, and starts a relay on it.
func restored(t *testing.T, backup string) *relaytest.Relay {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	run(t, 0, "restore", backup, data)
	out, _ := run(t, 0, "verify", "--data-dir", data)
	if !strings.Contains(out, "sound") {
		t.Errorf("verify: %s", out)
	}
	return relaytest.Start(t, data)
}

// holds says whether the relay gives these events of a filled store, byte for byte.
func holds(t *testing.T, r *relaytest.Relay, f *relaytest.Filled) {
	t.Helper()
	for i, s := range f.Slots {
		events := r.Pull(s, "")
		if len(events) != f.Events {
			t.Fatalf("slot %d has %d events, want %d", i, len(events), f.Events)
		}
		for pos, e := range events {
			if !bytes.Equal(e, f.Event(i, pos)) {
				t.Fatalf("slot %d, position %d: %.100s", i, pos, e)
			}
		}
	}
}
