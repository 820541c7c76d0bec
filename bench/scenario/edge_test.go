package scenario

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/cgroup"
	"cowrelay/bench/internal/short"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// pid is in the names of this process's groups.
func pid() string { return strconv.Itoa(os.Getpid()) }

// withGroups says whether control groups can be made here. If not, the scenario must
// say so before it starts anything.
func withGroups(t *testing.T, c run.Config, name string) bool {
	t.Helper()
	g, err := cgroup.New(100 << 20)
	if err == nil {
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
		return true
	}
	err = Run(t.Context(), c, []string{name}, func(r report.Result) { t.Errorf("a result: %s", r.Line()) })
	if err == nil || !strings.Contains(err.Error(), "which takes root") {
		t.Errorf("without a control group: %v", err)
	}
	return false
}

// noGroupsLeft checks that the groups of this process are gone.
func noGroupsLeft(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu"} {
		left, _ := filepath.Glob(filepath.Join(dir, "relaybench-"+pid()+"-*"))
		if len(left) > 0 {
			t.Errorf("groups are left: %q", left)
		}
	}
}

// Edge and edge-idle run the relay in a control group, which they take away again.
// Where no group can be made, they say so before they start anything.
func TestRun_edge(t *testing.T) {
	for name, unit := range map[string]string{"edge": "posts", "edge-idle": "stream-seconds"} {
		c := short.Streams(t)
		c.EdgeStreams, c.EdgeSlots, c.EdgeRate, c.Duration = 20, 50, 200, time.Second
		if !withGroups(t, c, name) {
			continue
		}
		r := runClean(t, c, name)
		use := r.Relay.Group
		if use == nil || use.Peak < 1<<20 || use.Peak > c.EdgeMemory || use.Anon == 0 || use.CPU <= 0 || use.Killed != 0 {
			t.Fatalf("the group used %+v", use)
		}
		if r.Unit != unit || r.Relay.Heartbeats < 20 || r.Relay.Memory.Streams != 20 || !strings.Contains(r.Line(), "; group at most ") {
			t.Errorf("line %q", r.Line())
		}
		// A busy machine lets some be due too late: they are counted as not sent.
		if first := r.Relay.Rounds[0]; name == "edge" {
			if due := first.Ops + first.Unsent; due < 199 || due > 201 || first.Ops == 0 || r.Relay.Latency.Count != due {
				t.Errorf("%d posts, %d not sent, %d timed: want about 200", first.Ops, first.Unsent, r.Relay.Latency.Count)
			}
		}
		noGroupsLeft(t)
	}
}

// A relay that does not start leaves no group behind either.
func TestRun_edgeWithoutRelay(t *testing.T) {
	c := short.Streams(t, "--no-such-flag")
	if err := Run(t.Context(), c, []string{"edge"}, nil); err == nil {
		t.Error("no error")
	}
	noGroupsLeft(t)
	c = short.Streams(t)
	c.Relay, c.RelayArgs, c.Target = "", nil, "http://127.0.0.1:1"
	if err := Run(t.Context(), c, []string{"edge"}, nil); err == nil || !strings.Contains(err.Error(), "needs relay, not target") {
		t.Errorf("with a target: %v", err)
	}
}
