package proc

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// A server that is a master with workers is measured as a whole.
func TestOverFamily(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	pids, err := children(os.Getpid())
	if err != nil || !slices.Contains(pids, cmd.Process.Pid) {
		t.Errorf("children %v, %v, want %d", pids, err, cmd.Process.Pid)
	}
	n, err := overFamily(os.Getpid(), func(pid int) (int64, error) { return int64(pid), nil })
	if err != nil || n < int64(os.Getpid()+cmd.Process.Pid) {
		t.Errorf("sum %d, %v", n, err)
	}
	alone, _ := memoryOf(os.Getpid())
	if all, err := Memory(os.Getpid()); err != nil || alone == 0 || all <= alone*9/10 {
		t.Errorf("memory %d, alone %d, %v", all, alone, err)
	}
}
