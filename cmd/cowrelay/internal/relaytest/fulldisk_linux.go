package relaytest

import (
	"os"
	"testing"
)

// FullDisk is an output that has no room for a byte. Only Linux has such a device.
func FullDisk(t *testing.T) *os.File {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	return full
}
