package proc

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestResidentMemory(t *testing.T) {
	if n, err := parseStatus([]byte("Name:\tx\nVmHWM:\t  999 kB\nVmRSS:\t  1234 kB\nRssAnon:\t 1 kB\n"), "VmRSS"); err != nil || n != 1234<<10 {
		t.Errorf("parseVmRSS = %d, %v", n, err)
	}
	for _, bad := range []string{"", "Name:\tx\n", "VmRSS:\t12 MB\n", "VmRSS:\tx kB\n"} {
		if _, err := parseStatus([]byte(bad), "VmRSS"); err == nil {
			t.Errorf("parseStatus(%q) gave no error", bad)
		}
	}
	// Of this process, with 32 MiB more that were touched. What other tests left
	// goes back first, or the 32 MiB may take its place.
	debug.FreeOSMemory()
	before, err := Memory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32<<20)
	for i := 0; i < len(b); i += 1 << 10 {
		b[i] = 1
	}
	after, err := Memory(os.Getpid())
	if err != nil || after-before < 24<<20 || b[0] != 1 {
		t.Errorf("resident memory %d, and %d (%v) with 32 MiB more", before, after, err)
	}
	if n, err := Memory(0); n != 0 || err != nil {
		t.Errorf("memory of an unknown process = %d, %v", n, err)
	}
}
