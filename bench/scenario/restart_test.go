package scenario

import (
	"strings"
	"testing"

	"cowrelay/bench/internal/short"
	"cowrelay/bench/load"
	"cowrelay/bench/run"
	"cowrelay/bench/wire"
)

func TestRestart(t *testing.T) {
	c := short.Config(t)
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
	c := short.Config(t, "--fault", "forget")
	c.RestartSlots, c.RestartBytes, c.EventBytes, c.Rounds = 10, 10*300, 300, 1
	rs := runShort(t, c, "restart")
	if r := rs[len(rs)-1]; r.Relay.Errors != 1 || !strings.Contains(r.Relay.FirstError, "a slot holds 0 events of 1 after a start") {
		t.Errorf("the loss was not noticed: %s", r.Line())
	}
}

func TestTail_noticesWhatIsLost(t *testing.T) {
	c := short.Config(t)
	s, err := load.StartRelay(t.Context(), nil, c.Relay, nil, c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	tmpl, err := wire.NewTemplate(300, strings.Repeat("ab", 24))
	if err != nil {
		t.Fatal(err)
	}
	e := run.NewEnv(&c, tmpl)
	sl, err := s.AllocateN(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	p := load.NewPoster(e.Template, s, sl[0], 7)
	defer p.Close()
	for range 3 {
		if err := p.Do(t.Context()); err != nil {
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
