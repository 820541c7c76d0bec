package fasthttp

import (
	"fmt"
	"math"
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
	for _, c := range seriesColumns {
		list := all[c.name].([]any)
		if len(list) != len(s.T) {
			g.Fatalf("%s has %d points, t has %d", c.name, len(list), len(s.T))
		}
		for _, v := range list {
			if v == nil {
				s.Lists[c.name] = append(s.Lists[c.name], nil)
				continue
			}
			f := v.(float64)
			s.Lists[c.name] = append(s.Lists[c.name], &f)
		}
	}
	if len(all) != 4+len(seriesColumns) {
		g.Errorf("%d members, want %d", len(all), 4+len(seriesColumns))
	}
	for i, at := range s.T {
		if at%s.Step != 0 || i > 0 && at-s.T[i-1] != s.Step {
			g.Fatalf("t is no grid of %d s: %v", s.Step, s.T[max(i-1, 0):i+1])
		}
	}
	if n := len(s.T); n == 0 || n > maxPoints || s.T[n-1] > s.Now || s.T[n-1] <= s.Now-s.Step {
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

// Rates are means, latencies and memory the worst, gauges the last; where the
// relay was down, and where nothing was measured, there is nothing.
func TestSeries_Folds(t *testing.T) {
	rows := timeline{}
	const first = 1_700_000_000 / 120 * 120
	down := func(i int64) bool { return i >= 40 && i < 80 }
	for i := range int64(400) {
		if down(i) {
			continue
		}
		r := row{colTS: first + 30*i, colSpan: 30_000, colSlots: i, colStored: 60 * (i % 4), colCommitP99: (i % 4) * 1_000_000, colCommitP50: noValue, colResident: 1000 - i%4}
		rows = rows.with(&r)
	}
	var s struct {
		T     []int64    `json:"t"`
		Slots []*float64 `json:"slots"`
		Posts []*float64 `json:"posts_per_second"`
		P50   []*float64 `json:"commit_p50_seconds"`
		P99   []*float64 `json:"commit_p99_seconds"`
		RSS   []*float64 `json:"memory_bytes"`
		Pulls []*float64 `json:"pulls_per_second"`
	}
	decode(rows.appendSeries(nil, 24, first+30*399, 30), &s)
	n := 0
	for i, at := range s.T {
		k := (at - first) / 30 // the point's first row
		if at < first || down(k) {
			if s.Slots[i] != nil || s.Posts[i] != nil || s.P99[i] != nil || s.RSS[i] != nil {
				t.Errorf("there is something at %d", k)
			}
			continue
		}
		n++
		if s.P50[i] != nil || *s.Slots[i] != float64(k+3) || *s.Posts[i] != 3 || math.Abs(*s.P99[i]-0.003) > 1e-9 || *s.RSS[i] != 1000 || *s.Pulls[i] != 0 {
			t.Errorf("point %d: %v %v %v %v", i, *s.Slots[i], *s.Posts[i], *s.P99[i], *s.RSS[i])
		}
	}
	if n != 90 {
		t.Errorf("%d points, want 90", n)
	}
}

// A row shows up at once, and until then a reply is made once.
func TestSeries_Cache(t *testing.T) {
	var c seriesCache
	none := &timeline{}
	now := time.Unix(1_700_000_000, 0)
	a := c.body(none, 24, now, 30)
	if b := c.body(none, 24, now.Add(2*time.Second), 30); &a[0] != &b[0] {
		t.Error("made twice")
	}
	for name, b := range map[string][]byte{
		"hours": c.body(none, 24+len(c), now, 30), "age": c.body(none, 24, now.Add(seriesAge*time.Second), 30),
		"clock": c.body(none, 24, now.Add(-time.Second), 30), "rows": c.body(&timeline{}, 24, now, 30),
	} {
		if &a[0] == &b[0] {
			t.Errorf("other %s, the same reply", name)
		}
	}
	seen := map[int]int{}
	for _, hours := range []int{1, 3, 6, 12, 24, 48, 72, 96, 168} {
		if was, ok := seen[hours%len(c)]; ok {
			t.Errorf("%d hours drive out %d", hours, was)
		}
		seen[hours%len(c)] = hours
	}
}

// Over HTTP, from rows of the relay itself.
func TestSeries_OfARelay(t *testing.T) {
	g := newRig(t)
	g.seedHistory(2, func(i int, r *row) bool { r[colPulls] = 30; return true })
	got := g.seriesOf("?hours=1")
	last := len(got.T) - 1
	if v := got.at(t, "pulls_per_second", last-2); v != 1 {
		t.Errorf("%v pulls a second, want 1", v)
	}
	if v := got.at(t, "memory_bytes", last-2); v < 1<<20 {
		t.Errorf("%v bytes of memory", v)
	}
}
