package main

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/scenario"
)

func TestParse(t *testing.T) {
	o, err := parse([]string{"post", "--target", "http://127.0.0.1:1", "--conns", "1, 8", "window", "--slot-bytes=400KiB,64MiB", "--rounds", "2", "--json"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(o.scenarios, " ") != "post window" || !o.json || o.cfg.Rounds != 2 || o.cfg.Duration != 3*time.Second {
		t.Errorf("options %+v", o)
	}
	if c := o.cfg.Conns; len(c) != 2 || c[0] != 1 || c[1] != 8 {
		t.Errorf("conns %v", c)
	}
	if b := o.cfg.SlotBytes; len(b) != 2 || b[0] != 400<<10 || b[1] != 64<<20 {
		t.Errorf("slot-bytes %v", b)
	}
	if o, err = parse([]string{"all", "--relay", os.Args[0]}); err != nil || len(o.scenarios) != len(scenario.Names) || len(o.cfg.GrowthSlots) == 0 {
		t.Errorf("all: %+v, %v", o, err)
	}
	// For a target, `all` leaves out what needs a relay of our own.
	if o, err = parse([]string{"all", "--target=http://127.0.0.1:1"}); err != nil || len(o.scenarios) != len(scenario.Names)-len(scenario.NeedRelay) ||
		slices.Contains(o.scenarios, "restart") || len(o.cfg.GrowthSlots) > 0 {
		t.Errorf("all: %+v, %v", o, err)
	}
	o, err = parse([]string{"growth", "--relay", os.Args[0], "--growth-slots", "", "--growth-lengths=20,30", "--growth-events=0", "--restart-bytes", "2GiB"})
	if err != nil || len(o.cfg.GrowthSlots) != 0 || len(o.cfg.GrowthLengths) != 2 || o.cfg.GrowthEvents != 0 || o.cfg.RestartBytes != 2<<30 {
		t.Errorf("growth: %+v, %v", o, err)
	}
}

func TestParse_listsAllFaults(t *testing.T) {
	_, err := parse([]string{"pol", "--nonsense", "--rounds", "x", "--page", "0", "--slot-bytes", "1GB", "--procs", "-1"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"pol"`, "nonsense", "rounds", "page 0", `"1GB"`, "procs -1", "exactly one of target and relay"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if _, err := parse(nil); err == nil || !strings.Contains(err.Error(), "no scenario") {
		t.Errorf("error %v", err)
	}
}

// flagNames are the names of all flags.
func flagNames(o *options) map[string]bool {
	names := map[string]bool{}
	o.flags().VisitAll(func(f *flag.Flag) { names[f.Name] = true })
	return names
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"poll", "-h"}} {
		if _, err := parse(args); !errors.Is(err, errHelp) {
			t.Errorf("parse(%q) = %v, want help", args, err)
		}
	}
	// Every flag is explained, and every scenario.
	o := &options{}
	for name := range flagNames(o) {
		if !strings.Contains(help, "  --"+name+" ") {
			t.Errorf("help does not explain --%s", name)
		}
	}
	for _, name := range slices.Concat(scenario.Names, scenario.Apart) {
		if !strings.Contains(help, "\n  "+name+" ") {
			t.Errorf("help does not explain %s", name)
		}
	}
}

func TestRun_exitStatus(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	f := func(want int, args ...string) {
		t.Helper()
		if got := command(t.Context(), args, null, null); got != want {
			t.Errorf("exit status of %q is %d, want %d", args, got, want)
		}
	}
	f(exitOK, "--help")
	f(exitUsage)
	f(exitUsage, "poll", "--nonsense")
	// Port 1 of loopback: nobody listens there.
	f(exitError, "poll", "--target", "http://127.0.0.1:1", "--no-bound", "--quiet")
}
