package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseSoak(t *testing.T) {
	const relay = "/bin/sh" // a file that is a program
	dir := t.TempDir()
	o, err := parseSoak([]string{"--relay", relay, "--out", dir, "--time", "10m", "--every", "1s", "--books-every=30s", "--agents", "9", "--relay-args", "--sync off"})
	if err != nil {
		t.Fatal(err)
	}
	if c := o.cfg; c.Duration != 10*time.Minute || c.Every != time.Second || c.BooksEvery != 30*time.Second || c.MixAgents != 9 || len(c.RelayArgs) != 2 ||
		!strings.HasPrefix(c.Command, "relaybench soak --relay /bin/sh ") {
		t.Errorf("options %+v", c)
	}
	if o, err := parseSoak([]string{"--draw", dir}); err != nil || o.draw != dir {
		t.Errorf("draw: %+v, %v", o, err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := parseSoak(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseSoak(%q): error %v, want %q", args, err, want)
		}
	}
	f("out: want the folder", "--relay", relay)
	f("relay: the soak", "--out", dir)
	f("nonsense", "--nonsense")
	f("want flags only", "--relay", relay, "--out", dir, "mix")
	f("every 1h0m0s", "--relay", relay, "--out", dir, "--every", "1h")
}

func TestSoakHelp(t *testing.T) {
	(&soakOptions{}).flags().VisitAll(func(f *flag.Flag) {
		if !strings.Contains(soakHelp, " --"+f.Name+" ") {
			t.Errorf("help does not explain --%s", f.Name)
		}
	})
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		want int
		args []string
	}{{exitOK, []string{"soak", "--help"}}, {exitUsage, []string{"soak", "--nonsense"}}, {exitError, []string{"soak", "--draw", t.TempDir()}}} {
		if got := command(t.Context(), c.args, null, null); got != c.want {
			t.Errorf("exit status of %q is %d, want %d", c.args, got, c.want)
		}
	}
}
