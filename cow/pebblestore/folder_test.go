package pebblestore

import (
	"os"
	"path/filepath"
	"testing"
)

// Space that is reserved counts, a hole does not, and folders within do.
func TestUsedSpace(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte, length int64) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(length); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil { // a file system may give blocks late
			t.Fatal(err)
		}
	}
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = byte(i*7 + i>>8)
	}
	write("hole", nil, 1<<30)
	write("log/full", text, 1<<20)
	write("full", text, 1<<20)
	used, err := UsedSpace(dir)
	if err != nil || used < 2<<20 || used > 3<<20 {
		t.Errorf("2 MiB and a hole of 1 GiB take %d bytes: %v", used, err)
	}
	if _, err := UsedSpace(filepath.Join(dir, "nothing")); err == nil {
		t.Error("a folder that is not there has a size")
	}
}
