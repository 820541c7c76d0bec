// Package short has runs of a fraction of a second, for tests. A test binary
// that calls Main is its own relay, bound and pullers.
package short

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"cowrelay/bench/bound"
	"cowrelay/bench/internal/tiny"
	"cowrelay/bench/load/pullers"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// Config is a run of a fraction of a second a scenario against the tests' relay.
func Config(t testing.TB, relayArgs ...string) run.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := run.Defaults()
	c.Relay, c.RelayArgs, c.Self, c.Dir = self, relayArgs, []string{self, bound.Command}, t.TempDir()
	c.Loader = []string{self, pullers.Command}
	c.Rounds, c.Duration, c.Warmup = 2, 60*time.Millisecond, 20*time.Millisecond
	c.Conns, c.SlotBytes, c.Page = []int{4}, []int64{64 << 10}, 100
	c.Streams, c.Posters, c.Pullers, c.PostRate, c.PullRate = 8, 4, 4, 400, 200
	c.Handles = 200
	c.BatchEvents, c.BatchPosters, c.BesideRate, c.FileLines = 10, 2, 400, 2000
	return c
}

// Streams is Config for scenarios of streams.
func Streams(t testing.TB, relayArgs ...string) run.Config {
	t.Helper()
	c := Config(t, append([]string{"--heartbeat", "60ms"}, relayArgs...)...)
	c.IdleStreams, c.IdleSettle, c.Heartbeat = 20, 20*time.Millisecond, 250*time.Millisecond
	c.ChurnStreams = 200
	c.MixAgents, c.MixSpeed = 6, 1000
	return c
}

// Idled says whether there is a round in which nothing was done. A machine that
// is busy with other tests can let a short round pass without giving it the CPU
// once: that says nothing about the bench.
func Idled(rs []report.Result) bool {
	for _, r := range rs {
		rounds := r.Relay.Rounds
		if r.Bound != nil {
			rounds = slices.Concat(rounds, r.Bound.Rounds)
		}
		for _, s := range rounds {
			if s.Ops == 0 && s.Errors == 0 {
				return true
			}
		}
	}
	return false
}

// Main runs the tests, unless the binary was started as a server or as pullers.
// more are further programs that it can be, by their first argument.
func Main(m *testing.M, more map[string]func(args []string) error) {
	programs := map[string]func(args []string) error{
		bound.Command:   func(args []string) error { return bound.Run(args[1:]) },
		pullers.Command: func(args []string) error { return pullers.Run(args[1:]) },
		"serve":         func(args []string) error { return tiny.Serve(args[1:]) },
		"post":          func(args []string) error { return tiny.Post(args[1:]) },
		"check-config":  func(args []string) error { return tiny.Config(args[1:]) },
	}
	for name, program := range more {
		programs[name] = program
	}
	if len(os.Args) > 1 && programs[os.Args[1]] != nil {
		if err := programs[os.Args[1]](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	wire.AnswerGrace = time.Second
	os.Exit(m.Run())
}
