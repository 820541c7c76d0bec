package commands

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// A token that is nowhere else, and an export that is said to be done, are
// durable: first the file, then the folder with its name, and folders that were
// made for it.
func TestWholeFile_IsDurable(t *testing.T) {
	r := relaytest.Start(t, t.TempDir())
	u := newUser(t, r)
	f := relaytest.Fill(t, 1, 5, 200)
	dir := t.TempDir()
	for _, c := range []struct {
		args  []string
		file  string
		above string // a folder in which one was made, or ""
	}{
		{[]string{"slot", "new", "--save=default", "--profile-dir=" + filepath.Join(dir, "a/b")}, filepath.Join(dir, "a/b/default.json"), filepath.Join(dir, "a")},
		{[]string{"export", "--all", "--data-dir=" + f.Dir, "--out=" + filepath.Join(dir, "export")}, filepath.Join(dir, "export"), ""},
	} {
		trap := new(relaytest.SyncTrap)
		x := relaytest.LaunchTrapOn(t, trap, &relaytest.Relay{T: t, Cmd: u.command(c.args...), Exited: make(chan struct{})})
		if code := x.Wait(30 * time.Second); code != 0 {
			t.Fatalf("%v: exit %d, %s", c.args, code, x.Log.String())
		}
		trap.Mu.Lock()
		synced := trap.Synced
		trap.Mu.Unlock()
		file := slices.IndexFunc(synced, func(name string) bool {
			return strings.HasPrefix(name, c.file+".") && strings.HasSuffix(name, ".partial")
		})
		folder := len(synced) - 1
		if file < 0 || synced[folder] != filepath.Dir(c.file) || c.above != "" && !slices.Contains(synced, c.above) {
			t.Errorf("%v synced %q", c.args, synced)
		}
	}
}
