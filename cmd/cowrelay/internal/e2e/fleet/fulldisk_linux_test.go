package fleet

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

// The list of the fleet on a disk that is full: the command says that it can't write,
// once. What forget prints goes the way of what admin block prints.
func TestFleet_FullDisk(t *testing.T) {
	a := newFleet(t).start(1).relays[0]
	full := relaytest.FullDisk(t)
	for _, args := range [][]string{{"admin", "fleet"}, {"admin", "fleet", "--json"}} {
		cmd := exec.Command(relaytest.Binary, append(args, "--admin="+a.AdminURL)...)
		cmd.Env, cmd.Stdout = relaytest.CleanEnv(), full
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(stderr.String(), "cannot write to standard output") != 1 {
			t.Errorf("%v: exit %d, %q", args, code, stderr.String())
		}
	}
}
