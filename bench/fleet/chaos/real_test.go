package chaos

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cowrelay/bench/fleet/fault"
)

// binary is the relay as it is released, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "cowrelay-chaos")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "cowrelay")
	cmd := exec.Command("go", "build", "-C", "../../..", "-pgo=off", "-o", path, "./cmd/cowrelay")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// rounds plays short rounds on a rig.
func rounds(t *testing.T, n int, open func(ctx context.Context, binary, dir string) (fault.Rig, error)) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	rig, err := open(t.Context(), path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rig.Close(); err != nil {
			t.Error(err)
		}
	}()
	cfg := Defaults()
	cfg.Faulty, cfg.LongEvery = 4*time.Second, 0 // tests have a minute
	seed := uint64(time.Now().Unix())
	for i := range uint64(n) {
		res, err := Round(t.Context(), rig, seed+i, cfg, func(string) {})
		if err != nil {
			t.Fatalf("seed %d, faults %q: %v", seed+i, res.Faults, err)
		}
		t.Logf("seed %d: %s", seed+i, res.Line())
		if !res.OK() || res.Done < 100 || res.Events < 50 || len(res.Faults) == 0 {
			t.Fatalf("seed %d, faults %q: %q", seed+i, res.Faults, res.Violations)
		}
	}
	if err := rig.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOneRelay kills and pauses a relay with a log of its own.
func TestOneRelay(t *testing.T) { rounds(t, 1, fault.Single) }
