package proc

import (
	"os"
	"testing"
	"time"
)

// The clock of a process is the one that the kernel adds up for itself, and a
// little work moves it.
func TestProcessCPU(t *testing.T) {
	before, err := processCPU(os.Getpid())
	if err != nil || before <= 0 {
		t.Fatal(before, err)
	}
	own := OwnCPU()
	after, err := processCPU(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("%v, then %v, %v", before, after, err)
	}
	// The kernel rounds what getrusage tells.
	if d := own - before; d < -10*time.Millisecond || own > after+10*time.Millisecond {
		t.Errorf("getrusage says %v, between %v and %v", own, before, after)
	}
	if n, err := processCPU(1 << 24); err == nil { // above the largest process id
		t.Errorf("a process that is not there took %v", n)
	}
}

func TestParseMachineStat(t *testing.T) {
	if got, err := parseMachineStat([]byte("cpu  100 10 40 9999 9999 5 5 40 77 0\ncpu0 1\n")); err != nil || got != 2*time.Second {
		t.Errorf("parseMachineStat = %v, %v, want 2s", got, err)
	}
	if _, err := parseMachineStat([]byte("intr 1")); err == nil {
		t.Error("parseMachineStat of another line gave no error")
	}
}
