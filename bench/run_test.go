package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// short is a run of a fraction of a second a scenario against the tests' relay.
func short(t testing.TB, relayArgs ...string) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Defaults()
	c.Relay, c.RelayArgs, c.Self, c.Dir = self, relayArgs, []string{self, BoundCommand}, t.TempDir()
	c.Loader = []string{self, LoaderCommand}
	c.Rounds, c.Duration, c.Warmup = 2, 60*time.Millisecond, 20*time.Millisecond
	c.Conns, c.SlotBytes, c.Page = []int{4}, []int64{64 << 10}, 100
	c.Streams, c.Posters, c.Pullers, c.PostRate, c.PullRate = 8, 4, 4, 400, 200
	return c
}

func runShort(t *testing.T, c Config, name string) []Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []Result
	if err := Run(ctx, c, []string{name}, func(r Result) { out = append(out, r) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// idle says whether there is a round in which nothing was done.
func idle(rs []Result) bool {
	for _, r := range rs {
		for _, s := range slices.Concat(r.Relay.Rounds, r.Bound.Rounds) {
			if s.Ops == 0 && s.Errors == 0 {
				return true
			}
		}
	}
	return false
}

func TestRun(t *testing.T) {
	for name, results := range map[string]int{"poll": 1, "window": 1, "post": 1, "fanout": 1, "saturation": 3} {
		t.Run(name, func(t *testing.T) {
			c := short(t)
			rs := runShort(t, c, name)
			// A machine that is busy with other tests can let a short round pass
			// without giving it the CPU once: that says nothing of the bench.
			for n := 0; n < 6 && idle(rs); n++ {
				c.Duration *= 2
				rs = runShort(t, c, name)
			}
			if len(rs) != results {
				t.Fatalf("%d results, want %d", len(rs), results)
			}
			for _, r := range rs {
				if r.Errors() != 0 {
					t.Errorf("errors: %s", r.Line())
				}
				if r.Bound == nil || len(r.Relay.Rounds) != 2 || len(r.Bound.Rounds) != 2 {
					t.Fatalf("rounds are missing: %s", r.Line())
				}
				for _, s := range slices.Concat(r.Relay.Rounds, r.Bound.Rounds) {
					if s.Ops == 0 || s.Latency.Count == 0 {
						t.Errorf("a round without anything done: %+v", s)
					}
				}
				if r.Ratio == nil || r.Ratio.Median <= 0 {
					t.Errorf("no ratio: %s", r.Line())
				}
				if r.Machine.Go == "" || r.Machine.Cores == 0 || r.Machine.Date == "" {
					t.Errorf("machine header: %+v", r.Machine)
				}
			}
			// Nothing is left behind.
			if left, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(left) != 0 {
				t.Errorf("left in the folder: %q", left)
			}
		})
	}
}

func TestRun_noticesFaults(t *testing.T) {
	for _, f := range []struct{ fault, scenario, want string }{
		{"status", "post", "status 503, want 201"},
		{"bytes", "poll", "an up-to-date client got"},
		{"lose", "fanout", "stream"},
		{"order", "fanout", "position"},
	} {
		t.Run(f.fault, func(t *testing.T) {
			c := short(t, "--fault", f.fault)
			c.Self, c.Rounds, c.Duration = nil, 1, 300*time.Millisecond
			rs := runShort(t, c, f.scenario)
			if len(rs) != 1 || rs[0].Relay.Errors == 0 || !strings.Contains(rs[0].Relay.FirstError, f.want) {
				t.Errorf("the fault was not noticed: %s", rs[0].Line())
			}
		})
	}
}

func TestRun_endsItsServers(t *testing.T) {
	c := short(t)
	c.Duration = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := Run(ctx, c, []string{"poll"}, func(Result) {})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want that of the context", err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(left) != 0 {
		t.Errorf("left in the folder: %q", left)
	}
}

func TestRun_relayThatDoesNotStart(t *testing.T) {
	c := short(t, "--no-such-flag")
	err := Run(t.Context(), c, []string{"poll"}, func(Result) {})
	if err == nil || !strings.Contains(err.Error(), "ended while starting") || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error %v", err)
	}
}
