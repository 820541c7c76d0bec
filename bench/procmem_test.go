package bench

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestResidentMemory(t *testing.T) {
	if n, err := parseVmRSS([]byte("Name:\tx\nVmHWM:\t  999 kB\nVmRSS:\t  1234 kB\nRssAnon:\t 1 kB\n")); err != nil || n != 1234<<10 {
		t.Errorf("parseVmRSS = %d, %v", n, err)
	}
	for _, bad := range []string{"", "Name:\tx\n", "VmRSS:\t12 MB\n", "VmRSS:\tx kB\n"} {
		if _, err := parseVmRSS([]byte(bad)); err == nil {
			t.Errorf("parseVmRSS(%q) gave no error", bad)
		}
	}
	// Of this process, with 32 MiB more that were touched. What other tests left
	// goes back first, or the 32 MiB may take its place.
	debug.FreeOSMemory()
	before, err := residentMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 32<<20)
	for i := 0; i < len(b); i += 1 << 10 {
		b[i] = 1
	}
	after, err := residentMemory(os.Getpid())
	if err != nil || after-before < 24<<20 || b[0] != 1 {
		t.Errorf("resident memory %d, and %d (%v) with 32 MiB more", before, after, err)
	}
	if n, err := residentMemory(0); n != 0 || err != nil {
		t.Errorf("memory of an unknown process = %d, %v", n, err)
	}
}

func TestServerFiles(t *testing.T) {
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max open files            1024                 20000                files     \n"
	if n, err := parseOpenFiles([]byte(limits)); err != nil || n != 1024 {
		t.Errorf("parseOpenFiles = %d, %v", n, err)
	}
	if _, err := parseOpenFiles([]byte("Limit\n")); err == nil {
		t.Error("limits without open files gave no error")
	}
	s := &side{pid: os.Getpid()}
	if err := s.checkServerFiles(1); err != nil {
		t.Error(err)
	}
	if err := s.checkServerFiles(1 << 40); err == nil || !strings.Contains(err.Error(), "its limit is") {
		t.Errorf("checkServerFiles = %v", err)
	}
}

func TestTimeWait(t *testing.T) {
	const table = "  sl  local_address rem_address   st tx_queue rx_queue\n" +
		"   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0\n" + // the listener of 8080
		"   1: 0100007F:1F90 0200007F:8000 06 0:0 00:0\n" +
		"   2: 0200007F:8001 0100007F:1F90 06 0:0 00:0\n" +
		"   3: 0300007F:8001 0100007F:1F90 06 0:0 00:0\n" +
		"   4: 0300007F:8002 0100007F:1F90 01 0:0 00:0\n" + // established
		"   5: 0300007F:8002 0100007F:1F91 06 0:0 00:0\n" // of another server
	var got TimeWait
	if err := got.addFrom(strings.NewReader(table), 8080); err != nil || got != (TimeWait{Server: 1, Client: 2}) {
		t.Errorf("TIME_WAIT %+v, %v", got, err)
	}
	if err := got.addFrom(strings.NewReader("x\ny\n"), 8080); err == nil {
		t.Error("a table of another shape gave no error")
	}
	if _, err := countTimeWait(1); err != nil {
		t.Error(err)
	}
}
