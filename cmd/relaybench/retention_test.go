package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseRetention(t *testing.T) {
	const relay = "/bin/sh" // a file that is a program
	dir := t.TempDir()
	c, l := newRetention()
	if err := l.parse([]string{"--relay", relay, "--out", dir, "--events", "500000", "--ttl", "2m", "--conns=4", "--rate", "50", "--relay-args", "--sync off"}); err != nil {
		t.Fatal(err)
	}
	if c.Events != 500_000 || c.TTL != 2*time.Minute || len(c.Conns) != 1 || c.Conns[0] != 4 || c.Rate != 50 || len(c.RelayArgs) != 2 ||
		!strings.HasPrefix(c.Command, "relaybench retention --relay /bin/sh ") {
		t.Errorf("options %+v", c)
	}
	_, l = newRetention()
	if err := l.parse([]string{"--draw", dir}); err != nil || l.draw != dir {
		t.Errorf("draw: %q, %v", l.draw, err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		_, l := newRetention()
		wantError(t, l.parse, want, args...)
	}
	f("out: want the folder", "--relay", relay)
	f("relay: the run", "--out", dir)
	f("nonsense", "--nonsense")
	f("want flags only", "--relay", relay, "--out", dir, "post")
	f("ttl 1s", "--relay", relay, "--out", dir, "--ttl", "1s")
	f("conns", "--relay", relay, "--out", dir, "--conns", "many")
}
