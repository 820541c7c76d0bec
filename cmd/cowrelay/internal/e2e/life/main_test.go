// Package life has the tests of a relay as a process: how it starts and refuses to,
// signals, reloads, the drain, its log, its service manager, open files and modes.
package life

import (
	"debug/buildinfo"
	"flag"
	"testing"

	"cowrelay/cmd/cowrelay/internal/relaytest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "4") // they wait, mostly
	relaytest.Main(m)
}

// Whatever flags the tests were built with, the relay is built the same way: without
// the race detector, build tags or C. So its tests need no second run under -race.
func TestBinary_IsTheSameInEachRun(t *testing.T) {
	info, err := buildinfo.ReadFile(relaytest.Binary)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	for _, key := range []string{"-race", "-tags", "-cover", "-asan", "-msan"} {
		if v := settings[key]; v != "" {
			t.Errorf("the relay was built with %s=%s", key, v)
		}
	}
	if settings["CGO_ENABLED"] != "0" {
		t.Errorf("the relay was built with CGO_ENABLED=%q", settings["CGO_ENABLED"])
	}
}
