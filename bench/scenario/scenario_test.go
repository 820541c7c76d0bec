package scenario

import (
	"context"
	"errors"
	"math"
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

// runDone is runShort for as long as it takes until something was done in each round.
func runDone(t *testing.T, c run.Config, name string) []report.Result {
	t.Helper()
	rs := runShort(t, c, name)
	for n := 0; n < 6 && short.Idled(rs); n++ {
		c.Duration *= 2
		rs = runShort(t, c, name)
	}
	return rs
}

func TestRun(t *testing.T) {
	for name, results := range map[string]int{"poll": 1, "window": 1, "post": 1, "batch": 1, "batch-beside": 3, "post-file": 1, "fanout": 1, "saturation": 3, "claim": 1, "directory": 1} {
		t.Run(name, func(t *testing.T) {
			c := short.Config(t)
			rs := runDone(t, c, name)
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
		{"batch", "batch", "a batch of 10 events was answered by"},
		{"batch-order", "post-file", "is at position"},
		{"last", "tail", "wrong bytes"},
	} {
		t.Run(f.fault, func(t *testing.T) {
			c := short.Config(t, "--fault", f.fault)
			c.Self, c.Rounds, c.Duration = nil, 1, 300*time.Millisecond
			rs := runDone(t, c, f.scenario)
			if len(rs) != 1 || rs[0].Relay.Errors == 0 || !strings.Contains(rs[0].Relay.FirstError, f.want) {
				t.Errorf("the fault was not noticed: %s", rs[0].Line())
			}
		})
	}
}

// A result of batches counts events, and says how many requests and bytes they
// were.
func TestRun_batches(t *testing.T) {
	for _, name := range []string{"batch", "post-file"} {
		r := runShort(t, short.Config(t), name)[0]
		for _, s := range slices.Concat(r.Relay.Rounds, r.Bound.Rounds) {
			b := s.Batches
			if s.Errors > 0 || b == nil || s.Ops%10 != 0 || math.Abs(b.BytesPerSec-300*s.PerSec) > 1 ||
				b.Events > 0 && math.Abs(float64(b.Events)*b.PerSec-s.PerSec) > 1 {
				t.Errorf("%s: round %+v, batches %+v", name, s, b)
			}
		}
		if l := r.Line(); !strings.Contains(l, " events/s, bound ") || !strings.Contains(l, "MB/s, bound ") {
			t.Errorf("line %q", l)
		}
	}
}

// What the relay reads for a request after its start is counted.
func TestRun_tail(t *testing.T) {
	rs := runShort(t, short.Config(t), "tail")
	if len(rs) != 1 || rs[0].Errors() != 0 || len(rs[0].Relay.Rounds) != 2 {
		t.Fatalf("results %+v", rs)
	}
	// The small relay has all in memory: it reads the request.
	if r := rs[0].Relay; r.Answer != 10*301+1 || r.Read < 100 || r.Read > 10_000 {
		t.Errorf("read %d bytes for an answer of %d", r.Read, r.Answer)
	}
	if l := rs[0].Line(); !strings.Contains(l, "B for an answer of 3,011 B: the tables of 0 slots and 0 chunks of events") {
		t.Errorf("line %q", l)
	}
}

// A run that needs the relay's binary says so.
func TestRun_needsRelay(t *testing.T) {
	for _, name := range NeedRelay {
		c := short.Config(t)
		c.Relay, c.RelayArgs, c.Target = "", nil, "http://127.0.0.1:1"
		if err := Run(t.Context(), c, []string{name}, nil); err == nil || !strings.Contains(err.Error(), "it needs relay, not target") {
			t.Errorf("%s: %v", name, err)
		}
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
