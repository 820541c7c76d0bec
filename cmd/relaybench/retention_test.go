package main

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseRetention(t *testing.T) {
	const relay = "/bin/sh" // a file that is a program
	dir := t.TempDir()
	o, err := parseRetention([]string{"--relay", relay, "--out", dir, "--events", "500000", "--ttl", "2m", "--conns=4", "--rate", "50", "--relay-args", "--sync off"})
	if err != nil {
		t.Fatal(err)
	}
	if c := o.cfg; c.Events != 500_000 || c.TTL != 2*time.Minute || len(c.Conns) != 1 || c.Conns[0] != 4 || c.Rate != 50 || len(c.RelayArgs) != 2 ||
		!strings.HasPrefix(c.Command, "relaybench retention --relay /bin/sh ") {
		t.Errorf("options %+v", c)
	}
	if o, err := parseRetention([]string{"--draw", dir}); err != nil || o.draw != dir {
		t.Errorf("draw: %+v, %v", o, err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := parseRetention(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseRetention(%q): error %v, want %q", args, err, want)
		}
	}
	f("out: want the folder", "--relay", relay)
	f("relay: the run", "--out", dir)
	f("nonsense", "--nonsense")
	f("want flags only", "--relay", relay, "--out", dir, "post")
	f("ttl 1s", "--relay", relay, "--out", dir, "--ttl", "1s")
	f("conns", "--relay", relay, "--out", dir, "--conns", "many")
}

func TestRetentionHelp(t *testing.T) {
	(&retentionOptions{}).flags().VisitAll(func(f *flag.Flag) {
		if !strings.Contains(retentionHelp, " --"+f.Name+" ") {
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
	}{{exitOK, []string{"retention", "--help"}}, {exitUsage, []string{"retention", "--nonsense"}}, {exitError, []string{"retention", "--draw", t.TempDir()}}} {
		if got := command(t.Context(), c.args, null, null); got != c.want {
			t.Errorf("exit status of %q is %d, want %d", c.args, got, c.want)
		}
	}
}
