package proc

import (
	"os"
	"path/filepath"
	"testing"
)

// What this process reads is counted.
func TestBytesRead(t *testing.T) {
	const size = 1 << 20
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := BytesRead(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	after, err := BytesRead(os.Getpid())
	if got := after - before; err != nil || got < size || got > size*3/2 {
		t.Errorf("%d bytes were read, error %v; want about %d", got, err, size)
	}
	if _, err := BytesRead(1 << 30); err == nil {
		t.Error("no error for a process that is not there")
	}
}
