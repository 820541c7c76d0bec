package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"cowrelay/bench/model"
)

func TestWorkOut(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := workOut(args, &out, &errs); got != code || !strings.Contains(out.String()+errs.String(), want) {
			t.Errorf("model %q: exit %d, %s%s; want %d, %q", args, got, out.String(), errs.String(), code, want)
		}
	}
	f(exitOK, "| 10 | 100, 300 | 10.0 M |", "--sizes", "10")
	f(exitOK, "| 10 | 10, 30 | 100.0 M |", "--sizes", "10", "--relays", "100")
	f(exitUsage, "at least 2", "--sizes", "1")
	f(exitUsage, "flags only", "now")
	f(exitUsage, "nonsense", "--nonsense", "1")
	var out bytes.Buffer
	workOut([]string{"--help"}, &out, &out)
	if strings.Contains(out.String(), "%!") {
		t.Errorf("the help lacks a default:\n%s", out.String())
	}
	in := model.Defaults()
	wantExplained(t, modelFlags(&in), out.String())
}

// The manual shows the table of the defaults.
func TestWorkOut_isInTheManual(t *testing.T) {
	page, err := os.ReadFile("../cowrelay/docs/fleet-cells.md")
	if err != nil {
		t.Fatal(err)
	}
	in := model.Defaults()
	if table := model.Table(in.Cells()); !strings.Contains(string(page), "\n\n"+table+"\n") {
		t.Errorf("fleet-cells.md lacks the table as it is now:\n%s", table)
	}
}
