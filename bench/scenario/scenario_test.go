package scenario

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

func runShort(t *testing.T, c run.Config, name string) []report.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []report.Result
	if err := Run(ctx, c, []string{name}, func(r report.Result) { out = append(out, r) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRun(t *testing.T) {
	for name, results := range map[string]int{"poll": 1, "window": 1, "post": 1, "fanout": 1, "saturation": 3, "claim": 1, "directory": 1} {
		t.Run(name, func(t *testing.T) {
			c := short.Config(t)
			rs := runShort(t, c, name)
			for n := 0; n < 6 && short.Idled(rs); n++ {
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
		{"claim", "claim", "the claim of agent-"},
		{"page", "directory", "a page has 99 handles, want 100"},
		{"order", "fanout", "position"},
	} {
		t.Run(f.fault, func(t *testing.T) {
			c := short.Config(t, "--fault", f.fault)
			c.Self, c.Rounds, c.Duration = nil, 1, 300*time.Millisecond
			rs := runShort(t, c, f.scenario)
			if len(rs) != 1 || rs[0].Relay.Errors == 0 || !strings.Contains(rs[0].Relay.FirstError, f.want) {
				t.Errorf("the fault was not noticed: %s", rs[0].Line())
			}
		})
	}
}

func TestRun_endsItsServers(t *testing.T) {
	c := short.Config(t)
	c.Duration = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := Run(ctx, c, []string{"poll"}, func(report.Result) {})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want that of the context", err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(left) != 0 {
		t.Errorf("left in the folder: %q", left)
	}
}

func TestRun_relayThatDoesNotStart(t *testing.T) {
	c := short.Config(t, "--no-such-flag")
	err := Run(t.Context(), c, []string{"poll"}, func(report.Result) {})
	if err == nil || !strings.Contains(err.Error(), "ended while starting") || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("error %v", err)
	}
}

func TestRun_withoutPorts(t *testing.T) {
	// Before anything is started.
	c := short.Streams(t)
	c.Rounds, c.ChurnStreams = 100, 1_000_000
	if err := Run(t.Context(), c, []string{"churn"}, nil); err == nil || !strings.Contains(err.Error(), "churn") || !strings.Contains(err.Error(), "ip_local_port_range") {
		t.Errorf("a run without enough ports: %v", err)
	}
}
