package peer

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

// shortPeers is short.Streams with the tests' own servers in the place of the
// peers.
func shortPeers(t *testing.T) Config {
	t.Helper()
	c := Config{Config: short.Streams(t)}
	self := c.Relay
	c.Rounds, c.NATSPeer = 1, self
	paths, modules := nginxPaths, nchanPaths
	t.Cleanup(func() { nginxPaths, nchanPaths = paths, modules })
	nginxPaths, nchanPaths = []string{self}, []string{self}
	return c
}

func runPeers(t *testing.T, c Config) []report.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []report.Result
	if err := Run(ctx, c, func(r report.Result) { out = append(out, r) }); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(c.Dir, "*")); len(left) != 0 {
		t.Errorf("left in the folder: %q", left)
	}
	return out
}

func TestRunPeers(t *testing.T) {
	for name, want := range map[string][]string{
		"nchan": {"window", "window", "post", "post", "fanout", "fanout", "idle"},
		"nats":  {"post", "fanout"},
	} {
		t.Run(name, func(t *testing.T) {
			c := shortPeers(t)
			c.Peers = []string{name}
			rs := runPeers(t, c)
			// A busy machine may give a short round no time at all.
			for n := 0; n < 6 && short.Idled(rs); n++ {
				c.Duration *= 2
				rs = runPeers(t, c)
			}
			var got []string
			for _, r := range rs {
				got = append(got, r.Scenario)
				if r.Peer != name || r.Promises == "" || r.Bound == nil || r.Ratio == nil || r.Errors() != 0 || r.Skipped != "" {
					t.Errorf("result %s", r.Line())
				}
				if r.Bound.Latency.Count == 0 || r.Bound.ServerShare == 0 && r.Bound.Rounds[0].Seconds > 0.5 {
					t.Errorf("%s: peer's side %+v", r.Scenario, r.Bound)
				}
				if l := r.Line(); !strings.Contains(l, r.Scenario+" beside "+name+" (") || !strings.Contains(l, "; what "+name+" promises: ") {
					t.Errorf("line %q", l)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("scenarios %q, want %q", got, want)
			}
		})
	}
}

// Equal promises: beside Nchan the relay runs without syncs, and as it is.
func TestRunPeers_relaySyncs(t *testing.T) {
	c := shortPeers(t)
	n := map[string]int{}
	for _, sc := range nchanVariants(&c.Config) {
		n[sc.Scenario+" "+strings.Join(sc.RelayArgs, " ")]++
	}
	for _, want := range []string{"post ", "post --sync off", "fanout ", "fanout --sync off"} {
		if n[want] != 1 {
			t.Errorf("%q: %d scenarios", want, n[want])
		}
	}
}

func TestRunPeers_target(t *testing.T) {
	c := shortPeers(t)
	s, err := load.StartRelay(t.Context(), nil, c.Relay, nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	c.Target, c.TargetPID, c.Peers = "http://"+s.Addr, s.PID, []string{"target"}
	all := targetVariants(&c.Config)
	names := []string{"poll", "connect", "window", "post", "fanout", "idle"}
	for i, sc := range all {
		if i >= len(names) || sc.Scenario != names[i] || sc.Other == nil {
			t.Errorf("scenario %d: %s", i, sc.Scenario)
		}
	}
	all = all[:1]
	all[0].Peer = "target"
	var got []report.Result
	if err := run.All(t.Context(), &run.Config{
		Relay: c.Relay, Dir: c.Dir, Rounds: 1, Duration: c.Duration, Warmup: c.Warmup, Target: c.Target,
	}, all, func(r report.Result) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Errors() != 0 || got[0].Bound == nil || got[0].Peer != "target" {
		t.Errorf("results %+v", got)
	}
}

func TestRunPeers_noticesFaults(t *testing.T) {
	defer func(d time.Duration) { wire.AnswerGrace = d }(wire.AnswerGrace)
	wire.AnswerGrace = tinyGrace
	f := func(name, fault, what, want string) {
		t.Helper()
		t.Setenv(tinyFault, fault)
		c := shortPeers(t)
		p := peersOf(&c)[slices.Index([]string{"nchan", "nats"}, name)]
		i := slices.IndexFunc(p.scenarios, func(sc run.Variant) bool { return sc.Scenario == what })
		sc := p.scenarios[i]
		sc.Peer, sc.Promises = p.name, p.promises
		c.Self, c.Duration = nil, 100*time.Millisecond
		var got []report.Result
		if err := run.All(t.Context(), &c.Config, []run.Variant{sc}, func(r report.Result) { got = append(got, r) }); err != nil {
			t.Fatal(err)
		}
		if b := got[0].Bound; b.Errors == 0 || !strings.Contains(b.FirstError, want) || got[0].Relay.Errors != 0 {
			t.Errorf("%s, %s: the fault was not noticed: %s", name, fault, got[0].Line())
		}
	}
	f("nchan", "status", "post", "status 507")
	f("nchan", "page", "window", "events behind got")
	f("nchan", "lose", "fanout", "stream 0 got")
	f("nats", "post", "post", "refused, as told")
	f("nats", "lose", "fanout", "stream")
}

// What is not installed is named, and nothing fails.
func TestRunPeers_missing(t *testing.T) {
	c := shortPeers(t)
	nginxPaths, c.NATSPeer = []string{"no-such-nginx"}, filepath.Join(t.TempDir(), "natspeer")
	rs := runPeers(t, c)
	if len(rs) != 2 {
		t.Fatalf("%d results", len(rs))
	}
	for i, want := range []string{"packages nginx and libnginx-mod-nchan", "make peers builds it"} {
		if r := rs[i]; !strings.Contains(r.Skipped, want) || !strings.Contains(r.Line(), "skipped: "+r.Skipped) || r.Errors() != 0 {
			t.Errorf("result %s", r.Line())
		}
	}
	nginxPaths, nchanPaths = []string{c.Relay}, nil
	if _, _, missing := findNchan(); !strings.Contains(missing, "module nchan is not installed") {
		t.Errorf("missing: %q", missing)
	}
}

func TestConfig_validatePeers(t *testing.T) {
	c := shortPeers(t)
	c.Target = "http://127.0.0.1:1" // beside relay, which Validate refuses
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Relay, c.Target, c.TargetPID, c.Peers = "", "", 7, []string{"nchan", "target"}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"relay", "target-pid 7", `unknown peer "target"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q\nlacks %q", err, want)
		}
	}
}

// The histogram of a load survives the way from one process to the other.
func TestParseLoaded(t *testing.T) {
	if _, err := parseLoaded([]byte("{")); err == nil {
		t.Error("no error for half a line")
	}
	if _, err := parseLoaded([]byte(`{"ops":1,"histogram":"AAAA"}`)); err == nil {
		t.Error("no error for a wrong histogram")
	}
}
