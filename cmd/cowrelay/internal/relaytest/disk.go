package relaytest

import (
	"os"
	"path/filepath"
	"testing"
)

func EachFile(t *testing.T, dir, pattern string, do func(string) error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	for _, name := range names {
		if err := do(name); err != nil {
			t.Fatal(err)
		}
	}
}

// Stored makes a folder with a slot and some events and returns it with the
// relay stopped.
func Stored(t *testing.T) (dir string, s Slot) {
	t.Helper()
	dir = t.TempDir()
	r, s := StartStored(t, dir)
	r.Stop()
	return dir, s
}

func StartStored(t *testing.T, dir string) (r *Relay, s Slot) {
	t.Helper()
	r = Start(t, dir)
	s = r.Allocate()
	for i := range 400 { // more than one block of the log
		r.Post(s, Event("a", i, 300))
	}
	return r, s
}

func ConfigFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cowrelay.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// WriteTemp returns the name of a file with a text.
func WriteTemp(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
