//go:build realclient

package outside

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// Sessions of one machine have mailboxes on a relay for this machine alone, too, and
// send over its socket and over TCP.
func TestWire_SameMachine(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "private", "s")
	local := relaytest.Start(t, t.TempDir(), "--access-log", "--local-only", "--uds="+socket)
	r := relaytest.Start(t, t.TempDir(), "--access-log")
	home := t.TempDir()
	wire := func(args ...string) (last []byte) {
		t.Helper()
		cmd := exec.Command(os.Getenv("WIRE"), args...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_STATE_HOME="+home, "XDG_CONFIG_HOME="+home,
			"WIRE_QUIET_AUTOSESSION=1", "WIRE_NO_INTERACTIVE=1")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("wire %v: %v\n%s%s", args, err, out, errs.String())
		}
		lines := bytes.Split(bytes.TrimSpace(out), []byte{'\n'})
		return lines[len(lines)-1]
	}
	session := func(name string) *agent {
		t.Helper()
		var made struct {
			Handle string `json:"handle"`
			Home   string `json:"home_dir"`
		}
		out := wire("session", "new", name, "--relay", r.URL, "--with-local", "--local-relay", local.URL,
			"--with-uds", "--uds-socket", socket, "--no-daemon", "--json")
		if err := json.Unmarshal(out, &made); err != nil || made.Home == "" {
			t.Fatalf("session new: %v: %s", err, out)
		}
		return &agent{t: t, home: made.Home, handle: made.Handle}
	}
	a, b := session("one"), session("two")
	var paired struct {
		Succeeded int `json:"pairs_succeeded"`
	}
	if out := wire("session", "pair-all-local", "--federation-relay", r.URL, "--json"); json.Unmarshal(out, &paired) != nil || paired.Succeeded != 1 {
		t.Fatalf("pair-all-local: %s", out)
	}
	both(a, b, "next door")
	for scope, way := range map[string]string{"both": "uds", "local": "local", "federation": "federation"} {
		out := a.run("mesh", "broadcast", "over "+way, "--scope", scope, "--json")[0]
		results, _ := out["results"].([]any)
		if len(results) != 1 || results[0].(map[string]any)["delivered_via"] != way {
			t.Errorf("broadcast over %s: %v", way, out)
		}
	}
	served(t, local)
	served(t, r)
}
