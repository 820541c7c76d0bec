package bench

import (
	"strings"
	"testing"
	"time"
)

// grow is a run of growth with a few of everything.
func grow(t *testing.T, relayArgs ...string) Config {
	t.Helper()
	c := short(t, relayArgs...)
	c.GrowthLengths, c.GrowthEvents, c.GrowthStreams, c.GrowthSlots = []int{40, 200}, 500, []int{1, 4}, []int{20, 60}
	return c
}

func TestGrowth(t *testing.T) {
	before := settle
	settle = 0
	defer func() { settle = before }()
	got := map[Point]Result{}
	for _, r := range runShort(t, grow(t), "growth") {
		if r.Errors() != 0 || r.Point == nil || r.Relay.Latency.Count == 0 {
			t.Fatalf("point %v: %s", r.Point, r.Line())
		}
		got[*r.Point] = r
	}
	for _, x := range []float64{40, 200} {
		for _, curve := range []string{"post", "poll", "since"} {
			r, ok := got[Point{curve, "events", x}]
			if !ok || r.VsFirst == nil || r.Compared != "p50" || x == 40 && r.VsFirst.Median != 1 {
				t.Errorf("%s at %v events: %s", curve, x, r.Line())
			}
		}
	}
	r := got[Point{"worst post", "events", 500}]
	if r.Bound == nil || r.Relay.Latency.Count != 500 || r.Bound.Latency.Count != 500 {
		t.Fatalf("the worst of 500 posts is that of some: %s", r.Line())
	}
	if r.OverBound == nil || *r.OverBound != r.Relay.Latency.Max-r.Bound.Latency.Max || !strings.Contains(r.Line(), "over the bound") {
		t.Errorf("over the bound: %s", r.Line())
	}
	for _, x := range []float64{1, 4} {
		if r := got[Point{"fanout", "streams", x}]; r.Ratio == nil {
			t.Errorf("%v streams: %s", x, r.Line())
		}
	}
	measured := false
	for _, x := range []float64{20, 60} {
		r := got[Point{"slots allocated", "slots", x}]
		if r.Unit != "slots" || x == 20 && r.BytesEachMore != 0 {
			t.Errorf("%v slots: %s", x, r.Line())
		}
		measured = measured || r.BytesEach != 0
		if r, ok := got[Point{"slots cold", "slots", x}]; !ok || r.Relay.Latency.Max < 1000 {
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
		change      func(*Config)
	}{
		{"status", "status 503", func(c *Config) { c.GrowthEvents, c.GrowthStreams, c.GrowthLengths = 300, nil, nil }},
		{"bytes", "an up-to-date client got", func(c *Config) { c.GrowthEvents, c.GrowthStreams = 0, nil }},
		{"late-bytes", "wrong bytes", func(c *Config) { c.GrowthEvents, c.GrowthStreams = 0, nil }},
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
		err := Run(t.Context(), c, []string{name}, func(Result) {})
		if err == nil || !strings.Contains(err.Error(), "needs relay, not target") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRestart(t *testing.T) {
	c := short(t)
	c.RestartSlots, c.RestartBytes, c.EventBytes = 30, 30*3*300, 300
	rs := runShort(t, c, "restart")
	if len(rs) != 2 {
		t.Fatalf("%d results", len(rs))
	}
	for i, r := range rs {
		if r.Errors() != 0 || len(r.Relay.Rounds) != 2 || r.Bound != nil || !strings.Contains(r.Variant, "30 slots with 3 x 300 B each") {
			t.Errorf("result %d: %s", i, r.Line())
		}
	}
	for i, right := range rs[1].Relay.Rounds {
		if ready := rs[0].Relay.Rounds[i]; right.Seconds <= ready.Seconds {
			t.Errorf("round %d: a right page after %v s, readiness after %v s", i, right.Seconds, ready.Seconds)
		}
	}
}

func TestRestart_noticesWhatIsLost(t *testing.T) {
	c := short(t, "--fault", "forget")
	c.RestartSlots, c.RestartBytes, c.EventBytes, c.Rounds = 10, 10*300, 300, 1
	rs := runShort(t, c, "restart")
	if r := rs[len(rs)-1]; r.Relay.Errors != 1 || !strings.Contains(r.Relay.FirstError, "a slot holds 0 events of 1 after a start") {
		t.Errorf("the loss was not noticed: %s", r.Line())
	}
}

func TestTail_noticesWhatIsLost(t *testing.T) {
	c := short(t)
	s, err := startRelay(t.Context(), c.Relay, nil, c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop() })
	tmpl, err := newTemplate(300, strings.Repeat("ab", 24))
	if err != nil {
		t.Fatal(err)
	}
	e := &env{cfg: &c, tmpl: tmpl, track: newTrack(nil, "")}
	sl, err := s.allocateN(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	p := newPoster(e, s, sl[0], 7)
	defer p.close()
	for range 3 {
		if err := p.do(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	f := func(first uint64, acked int, want string) {
		t.Helper()
		tl := &tail{slots: sl, first: []uint64{first}, acked: []int{acked}}
		err := tl.check(t.Context(), e, s)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d acknowledged from %d on: error %v, want %q", acked, first, err, want)
		}
	}
	f(7, 3, "")
	f(7, 2, "") // one was on its way
	f(7, 4, "4 posts were acknowledged before the kill, and 3 are there")
	f(7, 1, "1 posts were acknowledged")
	f(6, 3, "event 7 where 6 must be")
}

func TestTemplate_small(t *testing.T) {
	tmpl, err := newTemplate(smallEventBytes, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tmpl.appendEvent(nil, 0xabc)); got != `{"event_id":"0000000000000abc"}` || tmpl.size() != len(got) {
		t.Errorf("event %s of %d bytes", got, tmpl.size())
	}
	if id := tmpl.appendID(nil, 0xabc); string(id) != "0000000000000abc" {
		t.Errorf("id %s", id)
	} else if n, ok := tmpl.numberOfID(id); n != 0xabc || !ok {
		t.Errorf("number %d, %v", n, ok)
	}
	if _, err := tmpl.number([]byte(`{"event_id":"0000000000000ABC"}`)); err == nil {
		t.Errorf("another event was taken for one of these")
	}
}

func TestTimed(t *testing.T) {
	if s := timed(2 * time.Second); s.Ops != 1 || s.Seconds != 2 || s.Latency.Count != 1 || s.Latency.Max < 1_990_000 {
		t.Errorf("sample %+v", s)
	}
}

func TestConfig_validateGrowth(t *testing.T) {
	c := Defaults()
	c.GrowthLengths, c.GrowthEvents, c.GrowthStreams, c.GrowthSlots, c.RestartSlots, c.RestartBytes = []int{5}, -1, []int{300}, []int{10, 10}, 0, 0
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"growth-lengths 5", "growth-events -1", "growth-streams 300", "growth-slots 10", "restart-slots 0", "restart-bytes 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q\nlacks %q", err, want)
		}
	}
}
