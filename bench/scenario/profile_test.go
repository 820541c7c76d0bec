package scenario

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

func profiled(t *testing.T, relayArgs ...string) run.Config {
	c := short.Config(t, relayArgs...)
	c.Profile = filepath.Join(t.TempDir(), "2026-01-02-a-topic")
	c.Duration = time.Second
	return c
}

func TestProfile(t *testing.T) {
	c := profiled(t)
	c.Self = nil // the bound has no profiles to take
	rs := runShort(t, c, "poll")
	if len(rs) != 1 || rs[0].Errors() != 0 || !strings.Contains(rs[0].Line(), "profiles were taken") {
		t.Fatalf("results %+v", rs)
	}
	for _, name := range report.ProfileFiles {
		b, err := os.ReadFile(filepath.Join(c.Profile, name+".pprof"))
		if err != nil || !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) { // gzip
			t.Errorf("%s is no profile: % x, error %v", name, b[:min(len(b), 10)], err)
		}
	}
	cpu, err := os.ReadFile(filepath.Join(c.Profile, "cpu.pprof"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(cpu)
	if err != nil {
		t.Fatal(err)
	}
	// A round is a second, and the profiler may begin late and end early.
	if took := time.Duration(p.DurationNanos); took < c.Duration*3/2 {
		t.Errorf("the CPU profile is of %v, and not of both rounds", took)
	}
	if !slices.ContainsFunc(p.Function, func(f *profile.Function) bool { return strings.Contains(f.Name, "tiny.(*relay)") }) {
		t.Error("the CPU profile is not of the relay")
	}
	write := func(fresh bool) string {
		t.Helper()
		got, err := report.WriteNotes(t.Context(), c.Profile, "relaybench poll", rs)
		if err != nil || got != fresh {
			t.Fatalf("WriteProfileNotes = %v, %v, want %v", got, err, fresh)
		}
		b, err := os.ReadFile(filepath.Join(c.Profile, "NOTES.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	notes := write(true)
	for _, want := range []string{
		"# a-topic\n", "- machine: ", "- command: `relaybench poll`\n", "poll (4 conns", "## Seen\n", "## Changed\n", "## Result\n", "## Kept or dropped\n",
		"-flat cpu.pprof", "-cum cpu.pprof", "allocs.pprof", "mutex.pprof", "block.pprof",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("NOTES.md lacks %q:\n%s", want, notes)
		}
	}
	// Notes that somebody wrote stay as they are.
	if err := os.WriteFile(filepath.Join(c.Profile, "NOTES.md"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := write(false); got != "mine" {
		t.Errorf("NOTES.md was overwritten: %q", got)
	}
	f, err := os.Open(filepath.Join(c.Profile, "result.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if back, err := report.ReadResults(f); err != nil || len(back) != 1 {
		t.Errorf("result.jsonl: %d results, error %v", len(back), err)
	}
}

func TestProfile_refuses(t *testing.T) {
	try := func(c run.Config, names ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return Run(ctx, c, names, func(report.Result) {})
	}
	c := profiled(t)
	c.Conns = []int{1, 4}
	if err := try(c, "post"); err == nil || !strings.Contains(err.Error(), "a profile is of one load, and these are 2: post (1 conns") {
		t.Errorf("two loads: error %v", err)
	}
	c.Duration = 100 * time.Millisecond
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "a profile needs rounds of 1s") {
		t.Errorf("short rounds: error %v", err)
	}
	c = run.Defaults()
	c.Target, c.Profile = "http://127.0.0.1:1", "x"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "profile: only with relay") {
		t.Errorf("a relay without a known admin listener: error %v", err)
	}
	// A relay whose admin listener does not answer.
	c = profiled(t, "--admin", "127.0.0.1:1")
	c.Self, c.Rounds = nil, 1
	if err := try(c, "poll"); err == nil || !strings.Contains(err.Error(), "cannot take the cpu profile") {
		t.Errorf("no admin listener: error %v", err)
	}
}
