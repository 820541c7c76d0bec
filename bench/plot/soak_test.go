package plot

import (
	"testing"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/soak"
)

func TestSoak(t *testing.T) {
	r := &soak.Record{Setup: soak.Setup{Variant: "an hour of agents", Machine: report.Machine{CPU: "A & B <CPU>", Commit: "abc123", Date: "2026-01-02T03:04:05Z"}}}
	for i := range 721 {
		at := float64(i * 5)
		r.Samples = append(r.Samples, soak.Sample{
			At: at, RSS: 300e6 + int64(i), Own: 280e6, Heap: 150e6, Counted: 100e6, Disk: int64(at) * 1e5, EventBytes: int64(at) * 9e4, Journal: 64e6,
			Goroutines: 2000, Descriptors: 1500,
		})
		if i%36 == 0 {
			r.Readings = append(r.Readings, soak.Reading{At: at, Books: books.Books{Live: 110e6, Store: 2e6}})
		}
	}
	for i := range 60 {
		r.Minutes = append(r.Minutes, soak.Minute{N: i, Posts: load.Latency{Count: 5, P50: 1000, P99: 5000, Max: 90_000}})
	}
	dir := t.TempDir()
	files, err := Soak(dir, r)
	if err != nil || len(files) != 8 {
		t.Fatalf("%q, %v", files, err)
	}
	checkFiles(t, dir, map[string][]string{
		"soak-memory": {"resident", "group's own", "heap", "live heap", "counted", "300 MB", "minutes"},
		"soak-posts":  {"p50", "p99", "longest", "90 ms"},
		"soak-disk":   {"all files", "events", "journal", "64 MB"},
		"soak-things": {"goroutines", "descriptors", "2k"},
	}, "A & B <CPU>", "commit abc123", "an hour of agents")
	if _, err := Soak(dir, &soak.Record{}); err == nil {
		t.Error("nothing was drawn, and there is no error")
	}
}

func TestThin(t *testing.T) {
	var ps []curvePoint
	for i := range 601 {
		ps = append(ps, curvePoint{x: float64(i), y: float64(i % 10)})
	}
	got := thin(ps)
	if len(got) > soakPoints || got[0].y != 4 || got[0].x != 5 {
		t.Errorf("%d points, the first %+v", len(got), got[0])
	}
	if got := thin(ps[:soakPoints]); len(got) != soakPoints {
		t.Errorf("%d points of few", len(got))
	}
}
