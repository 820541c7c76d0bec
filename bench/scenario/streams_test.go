package scenario

import (
	"strings"
	"testing"
	"time"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

func runClean(t *testing.T, c run.Config, name string) report.Result {
	t.Helper()
	rs := runShort(t, c, name)
	if len(rs) != 1 || rs[0].Errors() != 0 {
		t.Fatalf("%d results; errors: %s", len(rs), rs[0].Line())
	}
	return rs[0]
}

func TestRun_connect(t *testing.T) {
	r := runClean(t, short.Streams(t), "connect")
	if r.Ratio == nil || r.Relay.TimeWait == nil || r.Relay.TimeWait.Client == 0 || r.Relay.TimeWait.Server != 0 {
		t.Errorf("ratio %v, TIME_WAIT %+v", r.Ratio, r.Relay.TimeWait)
	}
	if int64(r.Relay.TimeWait.Client) < r.Relay.Rounds[0].Ops {
		t.Errorf("%d requests left %d sockets: not a connection each", r.Relay.Rounds[0].Ops, r.Relay.TimeWait.Client)
	}
	if !strings.Contains(r.Line(), "NOTE: the client closes first") {
		t.Errorf("line %q", r.Line())
	}
}

func TestRun_idle(t *testing.T) {
	r := runClean(t, short.Streams(t), "idle")
	for _, s := range []*report.SideResult{&r.Relay, r.Bound} {
		if m := s.Memory; m == nil || m.Streams != 20 || m.Before == 0 || m.After < m.Before || m.Whole <= m.Each {
			t.Errorf("memory %+v", m)
		}
		if s.Heartbeats < 20 || s.Rounds[0].Ops < 4 || s.Latency.Count != 20 {
			t.Errorf("side %+v", s)
		}
	}
	if l := r.Line(); !strings.Contains(l, "B a stream (") || !strings.Contains(l, "heartbeats") {
		t.Errorf("line %q", l)
	}
}

func TestRun_churn(t *testing.T) {
	r := runClean(t, short.Streams(t), "churn")
	x := r.Relay.Extra
	if x.AllClosed == nil || x.Goroutines == nil || x.Goroutines.Before == 0 || x.Memory == nil || x.Memory.After == 0 {
		t.Errorf("extra %+v", x)
	}
	for _, s := range append(r.Relay.Rounds, r.Bound.Rounds...) {
		if s.Ops != 200 || s.Latency.Count != 200 {
			t.Errorf("%d opens, %d of them timed, want 200", s.Ops, s.Latency.Count)
		}
	}
	if l := r.Line(); !strings.Contains(l, "no stream counted") || !strings.Contains(l, "goroutines") {
		t.Errorf("line %q", l)
	}
}

func TestRun_mix(t *testing.T) {
	c := short.Streams(t)
	c.Duration = 150 * time.Millisecond
	r := runClean(t, c, "mix")
	if r.Bound != nil || r.Relay.Lag == nil {
		t.Errorf("bound %v, lag %v", r.Bound, r.Relay.Lag)
	}
	for _, name := range []string{"poll", "poll anew", "post", "delivery"} {
		if r.Relay.Parts[name].Count == 0 {
			t.Errorf("no %s: %s", name, r.Line())
		}
	}
	if l := r.Line(); !strings.Contains(l, "): delivery p50") || !strings.Contains(l, "operations/s") {
		t.Errorf("line %q", l)
	}
}

func TestRun_noticesFaultsOfStreams(t *testing.T) {
	for _, f := range []struct{ fault, scenario, want string }{
		{"bytes", "connect", "an up-to-date client got"},
		{"mute", "idle", "20 streams heard fewer"},
		{"chatter", "idle", "silent slot carries"},
		{"refuse", "churn", "status 503, want 200"},
		{"miscount", "churn", "streams_active is"},
		{"leak", "churn", "goroutines"},
		{"lose", "mix", "did not come at the stream"},
		{"twice", "mix", "again"},
		{"order", "mix", "stream"},
		{"shuffle", "mix", "a poll from the oldest got"},
		{"late-status", "mix", "status 503, want 201"},
	} {
		t.Run(f.fault+" "+f.scenario, func(t *testing.T) {
			t.Parallel()
			c := short.Streams(t, "--fault", f.fault)
			c.Self, c.Rounds = nil, 1
			if f.scenario == "mix" {
				c.Duration = 300 * time.Millisecond
			}
			rs := runDone(t, c, f.scenario)
			if len(rs) != 1 || rs[0].Relay.Errors == 0 || !strings.Contains(rs[0].Relay.FirstError, f.want) {
				t.Errorf("the fault was not noticed: %s", rs[0].Line())
			}
		})
	}
}
