package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cowrelay/bench/report"
)

func TestPlotCommand(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.jsonl"), filepath.Join(dir, "bad.jsonl")
	var b bytes.Buffer
	s := report.SideResult{PerSec: 1}
	r := report.Result{Scenario: "poll", Compared: "per_second", Relay: s, Bound: &s, Ratio: &report.Spread{Median: 1, Min: 1, Max: 1}}
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{good: b.String(), bad: "no\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want int, text string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := drawResults(args, &out, &errs); got != want || !strings.Contains(out.String()+errs.String(), text) {
			t.Errorf("plot %q: exit status %d, want %d and %q\n%s%s", args, got, want, text, &out, &errs)
		}
	}
	f(exitOK, "relaybench plot RESULTS.jsonl", "--help")
	f(exitUsage, "out: want the folder", good)
	f(exitUsage, "no results", "--out", dir)
	f(exitUsage, "nonsense", good, "--nonsense")
	f(exitError, "bad.jsonl: line 1 is no result", good, bad, "--out", dir)
	f(exitError, "no such file", filepath.Join(dir, "none"), "--out", dir)
	f(exitOK, "ratios-dark.svg", good, "--out", filepath.Join(dir, "new", "plots"))
	if _, err := os.Stat(filepath.Join(dir, "new", "plots", "ratios-light.svg")); err != nil {
		t.Error(err)
	}
}
