package filelog

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

const killEnv = "FILELOG_KILL_TEST"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		appendForever(dir)
	}
	os.Exit(m.Run())
}

// appendForever says on standard output what was acknowledged and trimmed.
func appendForever(dir string) {
	mode, _ := ParseSync(os.Args[1])
	l, err := Open(dir, Options{Create: true, SegmentBytes: 32 << 10, Sync: mode, Interval: time.Millisecond, Logger: quiet()})
	for err == nil {
		var seq uint64
		if seq, err = l.Append(entry(l.Last() + 1)); err == nil {
			fmt.Println(seq)
		}
		if seq > 100 && err == nil {
			err = l.Trim(seq - 100)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKill kills a process that appends, again and again. Whatever the mode, all that
// it acknowledged is there: the system has it.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Sync{Always, Interval, Off} {
		dir := t.TempDir()
		acked := uint64(0)
		for round := range 12 {
			cmd := exec.Command(exe, mode.String())
			cmd.Env = append(os.Environ(), killEnv+"="+dir)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for n := 0; lines.Scan(); n++ {
				if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
					t.Fatal(err)
				}
				if n == 10+round*40 {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			cmd.Wait()
			l := mustOpen(t, dir, Options{SegmentBytes: 32 << 10})
			if l.Last() < acked || l.Last() > acked+1 {
				t.Fatalf("%v: the log ends at %d, %d was acknowledged", mode, l.Last(), acked)
			}
			from := max(acked, 100) - 99
			wantRead(t, l, from, from, l.Last())
			mustClose(t, l)
		}
	}
}
