package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/attack/drill"
)

func TestParseAttack(t *testing.T) {
	const relay = "/bin/sh" // a file that is a program
	names := drill.Names()
	o, err := parseAttack([]string{names[0], "--relay", relay, "--kills", "3", names[len(names)-1], "--short", "--during=1s"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.drills, " ") != names[0]+" "+names[len(names)-1] || o.cfg.Kills != 3 || o.cfg.During != time.Second || o.cfg.Before != 2*time.Second {
		t.Errorf("options %+v", o)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := parseAttack(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseAttack(%q): error %v, want %q", args, err, want)
		}
	}
	f("want the path of a relay binary")
	f("is no program", "--relay", t.TempDir())
	f(`unknown drill "pagse"`, "--relay", relay, "pagse")
	f("kills -1", "--relay", relay, "--kills=-1")
	f("nonsense", "--relay", relay, "--nonsense")
}

func TestAttackHelp(t *testing.T) {
	text := attackUsage()
	wantExplained(t, (&attackOptions{}).flags(), text)
	for _, n := range drill.Names() {
		if !strings.Contains(text, "\n  "+n+" ") {
			t.Errorf("help does not explain %s", n)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for want, args := range map[int][]string{exitOK: {"attack", "--help"}, exitUsage: {"attack", "--nonsense"}} {
		if got := command(t.Context(), args, null, null); got != want {
			t.Errorf("exit status of %q is %d, want %d", args, got, want)
		}
	}
}
