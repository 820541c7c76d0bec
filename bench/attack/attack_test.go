package attack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the real relay, which is attacked.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "attack-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "cowrelay")
		build := exec.Command("go", "build", "-pgo=off", "-o", binary, "cowrelay/cmd/cowrelay")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "cannot build cowrelay: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// attacked runs drills at their short size. The test fails for each bar that
// does not hold.
func attacked(t *testing.T, cfg Config, names ...string) {
	t.Helper()
	cfg.Relay, cfg.Dir, cfg.Short, cfg.AtOnce = binary, t.TempDir(), true, 4
	n := 0
	err := Run(t.Context(), cfg, names, func(r Result) {
		n++
		if !r.Passed() {
			t.Error(r.Text())
		} else {
			t.Log(r.Text())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatal("no drill ran")
	}
}

// No client brings the relay down or makes an honest request fail. Time is not
// judged here; make attack does that.
func TestAttack(t *testing.T) {
	if testing.Short() {
		attacked(t, Config{}, "connections")
		return
	}
	attacked(t, Config{})
}

// Nothing that was acknowledged is lost if the relay is killed under attack.
func TestAttack_Kill(t *testing.T) {
	names := []string{"connections", "pages", "streams", "bodies"}
	if testing.Short() {
		names = names[:1]
	}
	attacked(t, Config{Kills: 1}, names...)
}
