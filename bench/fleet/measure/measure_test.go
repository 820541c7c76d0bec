package measure

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cowrelay/bench/report"
)

// TestRun measures all parts at a small size, on real servers and relays.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "cowrelay")
	build := exec.Command("go", "build", "-C", "../../..", "-pgo=off", "-o", binary, "./cmd/cowrelay")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cfg := Defaults()
	cfg.Relay, cfg.Dir = binary, dir
	cfg.Rounds, cfg.Warmup, cfg.Duration, cfg.Posters = 1, 100*time.Millisecond, 400*time.Millisecond, []int{6}
	cfg.BatchPosters, cfg.Replay, cfg.Cold, cfg.Visible = 3, 8000, 20, 50
	var seen []string
	err := Run(t.Context(), cfg, func(r report.Result) {
		seen = append(seen, r.Scenario)
		t.Log(r.Line())
		if r.Errors() != 0 || r.Relay.Rounds[0].Ops == 0 || r.Bound != nil && r.Bound.Rounds[0].Ops == 0 {
			t.Errorf("result %s", r.Line())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(seen)
	if seen = slices.Compact(seen); len(seen) != len(Names) {
		t.Errorf("results of %v, want %v", seen, Names)
	}
	cfg.Parts, cfg.Dir = []string{"nothing"}, t.TempDir()
	if err := Run(t.Context(), cfg, nil); err == nil {
		t.Error("an unknown part: no error")
	}
}
