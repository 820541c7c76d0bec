package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// These tests hold what upgrading.md says against the relay.

// cowrelay runs a command and returns what it printed and its exit status.
func cowrelay(t *testing.T, dir string, r *relaytest.Relay, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(relaytest.Binary, args...)
	cmd.Dir, cmd.Env = dir, environment(dir)
	if r != nil {
		cmd.Env = append(cmd.Env, "COWRELAY_RELAY="+r.URL, "COWRELAY_ADMIN_URL="+r.AdminURL)
	}
	out, errs, code := relaytest.Finish(t, cmd)
	return out + errs, code
}

// must runs a command that has to succeed.
func must(t *testing.T, dir string, r *relaytest.Relay, args ...string) string {
	t.Helper()
	out, code := cowrelay(t, dir, r, args...)
	if code != 0 {
		t.Fatalf("cowrelay %v: exit %d\n%s", args, code, out)
	}
	return out
}

// moveTo gives profiles the address of a relay that was started again.
func moveTo(t *testing.T, dir string, old, new *relaytest.Relay) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "config", "cowrelay", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no profile: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(data), old.URL, new.URL)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const ab = `{"event_id":"a"}` + "\n" + `{"event_id":"b"}` + "\n"

func TestUpgrading_RestoredCopy(t *testing.T) {
	dir := t.TempDir()
	data, backup := filepath.Join(dir, "cowrelay-data"), filepath.Join(dir, "backup")
	r := start(t, dir)
	must(t, dir, r, "slot", "new", "--save", "kept")
	must(t, dir, r, "post", "--profile", "kept", `{"event_id":"a"}`, `{"event_id":"b"}`)
	out := must(t, dir, r, "slot", "new", "--save", "removed")
	_, rest, _ := strings.Cut(out, `"slot_id":"`)
	removed := rest[:32]
	r.Stop()
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}

	again := start(t, dir)
	moveTo(t, dir, r, again)
	must(t, dir, again, "post", "--profile", "kept", `{"event_id":"c"}`)
	must(t, dir, again, "slot", "new", "--save", "later")
	must(t, dir, again, "admin", "rm", "--yes", removed)
	again.Stop()

	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, data); err != nil {
		t.Fatal(err)
	}
	must(t, dir, nil, "verify", "--data-dir", data)
	restored := start(t, dir)
	moveTo(t, dir, again, restored)
	for _, args := range [][]string{{"pull", "--profile", "kept"}, {"pull", "--profile", "kept", "--since", "c"}} {
		if out := must(t, dir, restored, args...); out != ab {
			t.Errorf("%v prints %q", args, out)
		}
	}
	must(t, dir, restored, "slot", "state", "--profile", "removed")
	if out, code := cowrelay(t, dir, restored, "slot", "state", "--profile", "later"); code != 1 || !strings.Contains(out, "has no slot") {
		t.Errorf("a slot made later: exit %d, %s", code, out)
	}
	// A client that sends its last events again loses nothing.
	out = must(t, dir, restored, "post", "--profile", "kept", `{"event_id":"b"}`, `{"event_id":"c"}`)
	if want := `{"stored":1,"duplicate":1,"failed":0}` + "\n"; out != want {
		t.Errorf("posted again: %s", out)
	}
	if out := must(t, dir, restored, "export", "--all", "--admin", restored.AdminURL); !strings.Contains(out, `"position":2,"event":{"event_id":"c"}`) {
		t.Errorf("the position is not used again: %s", out)
	}
}

func TestUpgrading_MovedFolder(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir)
	must(t, dir, r, "slot", "new", "--save", "kept")
	must(t, dir, r, "post", "--profile", "kept", `{"event_id":"a"}`, `{"event_id":"b"}`)
	r.Stop()
	elsewhere := t.TempDir()
	for _, name := range []string{"cowrelay-data", "config"} {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(elsewhere, name)); err != nil {
			t.Fatal(err)
		}
	}
	moved := start(t, elsewhere)
	moveTo(t, elsewhere, r, moved)
	if out := must(t, elsewhere, moved, "pull", "--profile", "kept"); out != ab {
		t.Errorf("pull prints %q", out)
	}
	for _, name := range []string{"", "LOCK"} {
		info, err := os.Stat(filepath.Join(elsewhere, "cowrelay-data", name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%q has mode %04o", name, mode)
		}
	}
}

// A folder in use is refused, also without the file LOCK, and a configuration
// key that the program does not know is an error.
func TestUpgrading_Refusals(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	for _, without := range []bool{false, true} {
		if without {
			if err := os.Remove(filepath.Join(dir, "cowrelay-data", "LOCK")); err != nil {
				t.Fatal(err)
			}
		}
		for _, args := range [][]string{
			{"serve", "--bind", "127.0.0.1:0", "--admin", ""}, {"verify"}, {"export", "--all"},
		} {
			if out, code := cowrelay(t, dir, nil, args...); code != 1 || !strings.Contains(out, "in use by another process") {
				t.Errorf("%v: exit %d, %s", args, code, out)
			}
		}
	}
	file := filepath.Join(dir, "cowrelay.toml")
	if err := os.WriteFile(file, []byte("key-of-another-version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := cowrelay(t, dir, nil, "check-config", "--config", file); code != 2 || !strings.Contains(out, "key-of-another-version") {
		t.Errorf("exit %d, %s", code, out)
	}
}
