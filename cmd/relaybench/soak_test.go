package main

import (
	"strings"
	"testing"
	"time"
)

func TestParseSoak(t *testing.T) {
	const relay = "/bin/sh" // a file that is a program
	dir := t.TempDir()
	c, l := newSoak()
	if err := l.parse([]string{"--relay", relay, "--out", dir, "--time", "10m", "--every", "1s", "--books-every=30s", "--agents", "9", "--relay-args", "--sync off"}); err != nil {
		t.Fatal(err)
	}
	if c.Duration != 10*time.Minute || c.Every != time.Second || c.BooksEvery != 30*time.Second || c.MixAgents != 9 || len(c.RelayArgs) != 2 ||
		!strings.HasPrefix(c.Command, "relaybench soak --relay /bin/sh ") {
		t.Errorf("options %+v", c)
	}
	_, l = newSoak()
	if err := l.parse([]string{"--draw", dir}); err != nil || l.draw != dir {
		t.Errorf("draw: %q, %v", l.draw, err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		_, l := newSoak()
		wantError(t, l.parse, want, args...)
	}
	f("out: want the folder", "--relay", relay)
	f("relay: the soak", "--out", dir)
	f("nonsense", "--nonsense")
	f("want flags only", "--relay", relay, "--out", dir, "mix")
	f("every 1h0m0s", "--relay", relay, "--out", dir, "--every", "1h")
}
