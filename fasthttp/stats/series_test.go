package stats

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// Rates are means, latencies and gauges the most, free space the least; where the
// relay was down, and where nothing was measured, there is nothing.
func TestSeries_Folds(t *testing.T) {
	rows := timeline{}
	const first = 1_700_000_000 / 120 * 120
	down := func(i int64) bool { return i >= 40 && i < 80 }
	for i := range int64(400) {
		if down(i) {
			continue
		}
		r := row{colTS: first + 30*i, colSpan: 30_000, colSlots: i, colStreams: 150 * (1 - min(i%4, 1)), colDiskFree: 1000 + (i+2)%4, colStored: 60 * (i % 4), colCommitP99: (i % 4) * 1_000_000, colCommitP50: noValue, colResident: 1000 - i%4}
		rows = rows.with(&r)
	}
	var s struct {
		T      []int64             `json:"t"`
		Slots  []*float64          `json:"slots"`
		Open   []*float64          `json:"streams"`
		Free   []*float64          `json:"disk_free_bytes"`
		Limits map[string]float64  `json:"limits"`
		Latest map[string]*float64 `json:"latest"`
		Posts  []*float64          `json:"posts_per_second"`
		P50    []*float64          `json:"commit_p50_seconds"`
		P99    []*float64          `json:"commit_p99_seconds"`
		RSS    []*float64          `json:"memory_bytes"`
		Pulls  []*float64          `json:"pulls_per_second"`
	}
	if err := json.Unmarshal(rows.appendSeries(nil, 24, first+30*399, 30, []limit{{"slots", 9}, {"streams", 0}}), &s); err != nil {
		t.Fatal(err)
	}
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
		if s.P50[i] != nil || *s.Slots[i] != float64(k+3) || *s.Posts[i] != 3 || math.Abs(*s.P99[i]-0.003) > 1e-9 || *s.RSS[i] != 1000 || *s.Open[i] != 150 || *s.Free[i] != 1000 || *s.Pulls[i] != 0 {
			t.Errorf("point %d: %v %v %v %v", i, *s.Slots[i], *s.Posts[i], *s.P99[i], *s.RSS[i])
		}
	}
	// What is now is the newest row, not the most of its point.
	if got := s.Latest; len(got) != len(seriesColumns) || *got["streams"] != 0 || *got["slots"] != 399 || *got["posts_per_second"] != 6 || *got["memory_bytes"] != 997 || got["commit_p50_seconds"] != nil {
		t.Errorf("latest: %v", got)
	}
	if len(s.Limits) != 1 || s.Limits["slots"] != 9 {
		t.Errorf("limits: %v", s.Limits)
	}
	if n != 90 {
		t.Errorf("%d points, want 90", n)
	}
}

// After a while without rows nothing is known to be so now. A timer may be early: then
// the row has the second that comes.
func TestSeries_LatestIsNow(t *testing.T) {
	rows := timeline{}.with(&row{colTS: 1_700_000_000, colStreams: 5})
	for ago, want := range map[int64]string{0: "5", 89: "5", 90: "null", -1: "5", -2: "null"} {
		var s struct {
			Latest map[string]json.RawMessage `json:"latest"`
		}
		if err := json.Unmarshal(rows.appendSeries(nil, 1, 1_700_000_000+ago, 30, nil), &s); err != nil || string(s.Latest["streams"]) != want {
			t.Errorf("%d s later: %s, %v; want %s", ago, s.Latest["streams"], err, want)
		}
	}
}

// A row shows up at once, and until then a reply is made once.
func TestSeries_Cache(t *testing.T) {
	var c seriesCache
	unlimited := func() []limit { return nil }
	none := &timeline{}
	now := time.Unix(1_700_000_000, 0)
	a := c.body(none, 24, now, 30, unlimited)
	if b := c.body(none, 24, now.Add(2*time.Second), 30, unlimited); &a[0] != &b[0] {
		t.Error("made twice")
	}
	for name, b := range map[string][]byte{
		"hours": c.body(none, 24+len(c), now, 30, unlimited), "age": c.body(none, 24, now.Add(seriesAge*time.Second), 30, unlimited),
		"clock": c.body(none, 24, now.Add(-time.Second), 30, unlimited), "rows": c.body(&timeline{}, 24, now, 30, unlimited),
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
