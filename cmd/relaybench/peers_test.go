package main

import (
	"strings"
	"testing"
)

func TestParse_peers(t *testing.T) {
	// A file that is a program, in the place of the relay.
	const relay = "/bin/sh"
	o, err := parse([]string{"peers", "--relay", relay, "--target", "http://127.0.0.1:1", "--peers", "nchan,target", "--rounds=1"})
	if err != nil {
		t.Fatal(err)
	}
	if !o.peers || len(o.scenarios) != 0 || strings.Join(o.beside, " ") != "nchan target" {
		t.Errorf("options %+v", o)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parse(%q): error %v, want %q", args, err, want)
		}
	}
	f("stands alone", "peers", "poll", "--relay", relay)
	f(`unknown peer "target"`, "peers", "--relay", relay, "--peers", "target")
	f("only after the word peers", "post", "--relay", relay, "--peers", "nats")
	f("relay", "peers", "--target", "http://127.0.0.1:1")
	f("not beside peers", "peers", "--relay", relay, "--profile", t.TempDir(), "--duration", "1s")
}
