package scenario

import (
	"strings"
	"testing"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/report"
	"cowrelay/bench/run"
)

// grow is a run of growth with a few of everything.
func grow(t *testing.T, relayArgs ...string) run.Config {
	t.Helper()
	c := short.Config(t, relayArgs...)
	c.GrowthLengths, c.GrowthEvents, c.GrowthStreams, c.GrowthSlots = []int{40, 200}, 500, []int{1, 4}, []int{20, 60}
	return c
}

func TestGrowth(t *testing.T) {
	before := settle
	settle = 0
	defer func() { settle = before }()
	got := map[report.Point]report.Result{}
	for _, r := range runShort(t, grow(t), "growth") {
		if r.Errors() != 0 || r.Point == nil || r.Relay.Latency.Count == 0 {
			t.Fatalf("point %v: %s", r.Point, r.Line())
		}
		got[*r.Point] = r
	}
	for _, x := range []float64{40, 200} {
		for _, curve := range []string{"post", "poll", "since"} {
			r, ok := got[report.Point{Curve: curve, Axis: "events", X: x}]
			if !ok || r.VsFirst == nil || r.Compared != "p50" || x == 40 && r.VsFirst.Median != 1 {
				t.Errorf("%s at %v events: %s", curve, x, r.Line())
			}
		}
	}
	r := got[report.Point{Curve: "worst post", Axis: "events", X: 500}]
	if r.Bound == nil || r.Relay.Latency.Count != 500 || r.Bound.Latency.Count != 500 {
		t.Fatalf("the worst of 500 posts is that of some: %s", r.Line())
	}
	if r.OverBound == nil || *r.OverBound != r.Relay.Latency.Max-r.Bound.Latency.Max || !strings.Contains(r.Line(), "over the bound") {
		t.Errorf("over the bound: %s", r.Line())
	}
	for _, x := range []float64{1, 4} {
		if r := got[report.Point{Curve: "fanout", Axis: "streams", X: x}]; r.Ratio == nil {
			t.Errorf("%v streams: %s", x, r.Line())
		}
	}
	measured := false
	for _, x := range []float64{20, 60} {
		r := got[report.Point{Curve: "slots allocated", Axis: "slots", X: x}]
		if r.Unit != "slots" || x == 20 && r.BytesEachMore != 0 {
			t.Errorf("%v slots: %s", x, r.Line())
		}
		measured = measured || r.BytesEach != 0
		if r, ok := got[report.Point{Curve: "slots cold", Axis: "slots", X: x}]; !ok || r.Relay.Latency.Max < 1000 {
			t.Errorf("a start in under a millisecond: %s", r.Line())
		}
	}
	if !measured {
		t.Error("slots take no memory")
	}
	if len(got) != 6+1+2+4 {
		t.Errorf("%d points", len(got))
	}
}

func TestGrowth_noticesFaults(t *testing.T) {
	for _, f := range []struct {
		fault, want string
		change      func(*run.Config)
	}{
		{"status", "status 503", func(c *run.Config) { c.GrowthEvents, c.GrowthStreams, c.GrowthLengths = 300, nil, nil }},
		{"bytes", "an up-to-date client got", func(c *run.Config) { c.GrowthEvents, c.GrowthStreams = 0, nil }},
		{"late-bytes", "wrong bytes", func(c *run.Config) { c.GrowthEvents, c.GrowthStreams = 0, nil }},
	} {
		t.Run(f.fault, func(t *testing.T) {
			c := grow(t, "--fault", f.fault)
			c.Self, c.Rounds, c.GrowthSlots = nil, 1, nil
			f.change(&c)
			for _, r := range runShort(t, c, "growth") {
				if strings.Contains(r.Relay.FirstError, f.want) {
					return
				}
				t.Log(r.Line())
			}
			t.Error("the fault was not noticed")
		})
	}
}

func TestGrowth_needsARelayOfItsOwn(t *testing.T) {
	c := grow(t)
	c.Relay, c.Target = "", "http://127.0.0.1:1"
	for _, name := range []string{"growth", "restart"} {
		err := Run(t.Context(), c, []string{name}, func(report.Result) {})
		if err == nil || !strings.Contains(err.Error(), "needs relay, not target") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
