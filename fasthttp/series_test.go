package fasthttp

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// seriesReply is /stats.series; missing fields stay nil.
type seriesReply struct {
	Hours int                   `json:"hours"`
	Now   int64                 `json:"now_unix"`
	Step  int64                 `json:"step_seconds"`
	T     []int64               `json:"t"`
	Lists map[string][]*float64 `json:"-"`

	Limits, Latest map[string]any `json:"-"`
}

// seriesLists are the lists of /stats.series, one value a point.
var seriesLists = []string{
	"slots", "streams", "connections", "long_polls", "events", "event_bytes",
	"posts_per_second", "duplicates_per_second", "refused_posts_per_second", "pulls_per_second", "requests_per_second",
	"failures_per_second", "limited_per_second", "cpu_cores",
	"commit_p50_seconds", "commit_p99_seconds", "stream_lag_p99_seconds", "memory_bytes", "slot_memory_bytes", "disk_free_bytes",
}

func (g *rig) seriesOf(query string) seriesReply {
	g.Helper()
	body := g.call("GET", "/stats.series"+query, "", nil).want(g, 200).body
	var s seriesReply
	var all map[string]any
	decodeStrictly(g, body, &all)
	s.Hours, s.Now, s.Step = int(all["hours"].(float64)), int64(all["now_unix"].(float64)), int64(all["step_seconds"].(float64))
	for _, v := range all["t"].([]any) {
		s.T = append(s.T, int64(v.(float64)))
	}
	s.Lists = map[string][]*float64{}
	for _, name := range seriesLists {
		list := all[name].([]any)
		if len(list) != len(s.T) {
			g.Fatalf("%s has %d points, t has %d", name, len(list), len(s.T))
		}
		for _, v := range list {
			if v == nil {
				s.Lists[name] = append(s.Lists[name], nil)
				continue
			}
			f := v.(float64)
			s.Lists[name] = append(s.Lists[name], &f)
		}
	}
	if len(all) != 6+len(seriesLists) {
		g.Errorf("%d members, want %d", len(all), 6+len(seriesLists))
	}
	s.Limits, s.Latest = all["limits"].(map[string]any), all["latest"].(map[string]any)
	for name := range s.Limits {
		if s.Lists[name] == nil {
			g.Errorf("a limit of %q, which is no list", name)
		}
	}
	if len(s.Latest) != len(seriesLists) {
		g.Errorf("latest has %d members, want %d", len(s.Latest), len(seriesLists))
	}
	for i, at := range s.T {
		if at%s.Step != 0 || i > 0 && at-s.T[i-1] != s.Step {
			g.Fatalf("t is no grid of %d s: %v", s.Step, s.T[max(i-1, 0):i+1])
		}
	}
	if n := len(s.T); n == 0 || n > 720 || s.T[n-1] > s.Now || s.T[n-1] <= s.Now-s.Step {
		g.Errorf("%d points up to %d at %d", n, s.T[max(n-1, 0)], s.Now)
	}
	return s
}

// at is the value of a point that must be there.
func (s seriesReply) at(t testing.TB, name string, i int) float64 {
	t.Helper()
	v := s.Lists[name][i]
	if v == nil {
		t.Fatalf("%s[%d] is null", name, i)
	}
	return *v
}

func TestSeries_Steps(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	for hours, step := range map[int]int64{1: 30, 6: 30, 7: 60, 24: 120, 48: 240, 168: 840} {
		s := g.seriesOf(fmt.Sprintf("?hours=%d", hours))
		if s.Step != step || s.Hours != hours || int64(len(s.T)) != int64(hours)*3600/step {
			t.Errorf("%d hours: %d points of %d s", hours, len(s.T), s.Step)
		}
		for name, list := range s.Lists {
			for i := range list {
				if list[i] != nil {
					t.Fatalf("%s of a relay without rows has %v", name, *list[i])
				}
			}
		}
	}
	if s := g.seriesOf(""); s.Hours != 24 {
		t.Errorf("%d hours by default", s.Hours)
	}
	if s := g.seriesOf("?hours=1000"); s.Hours != 168 {
		t.Errorf("1000 hours are %d", s.Hours)
	}
	g.call("GET", "/stats.series?hours=0", "", nil).want(t, 400)
}

// Over HTTP, from rows that were there at the start and from one of the relay
// itself.
func TestSeries_OfARelay(t *testing.T) {
	g := newRig(t)
	g.seedHistory(2, time.Minute, func(i int, row map[string]int64) { row["pulls"] = 30 })
	g.relay.recorder.Sample(time.Now())
	got := g.seriesOf("?hours=1")
	last := len(got.T) - 1
	if v := got.at(t, "pulls_per_second", last-3); v != 1 {
		t.Errorf("%v pulls a second, want 1", v)
	}
	memory := got.Lists["memory_bytes"]
	if own := memory[last]; own == nil || *own < 1<<20 {
		t.Errorf("the relay's memory: %v", own)
	}
	if memory[last-3] != nil {
		t.Error("a row without memory shows some")
	}
	if now := got.Latest["memory_bytes"]; now == nil || now.(float64) != *memory[last] {
		t.Errorf("now the memory is %v, in the last point %v", now, *memory[last])
	}
	live := g.relay.live.Load()
	for name, want := range map[string]int{"streams": live.MaxStreams, "connections": g.relay.opts.MaxConns, "long_polls": live.MaxWaiters, "cpu_cores": runtime.GOMAXPROCS(0)} {
		if got.Limits[name] != float64(want) {
			t.Errorf("the limit of %s is %v, want %d", name, got.Limits[name], want)
		}
	}
}
