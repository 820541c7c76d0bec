package plot

import (
	"testing"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
	"cowrelay/bench/retention"
)

func TestRetention(t *testing.T) {
	r := &retention.Record{Setup: retention.Setup{Variant: "a million events", Machine: report.Machine{CPU: "A & B <CPU>", Commit: "abc123", Date: "2026-01-02T03:04:05Z"}}}
	for i := range 40 {
		at := float64(i * 5)
		r.Samples = append(r.Samples, retention.Sample{At: at, Disk: 400e6 - int64(at)*1e6, Left: 100e6})
		r.Slices = append(r.Slices, retention.Slice{At: at, Posts: load.Latency{Count: 5, P50: 1000, P99: 5000}})
	}
	dir := t.TempDir()
	files, err := Retention(dir, r)
	if err != nil || len(files) != 4 {
		t.Fatalf("%q, %v", files, err)
	}
	checkFiles(t, dir, map[string][]string{
		"retention-disk":  {"disk", "events", "205 MB", "100 MB", "seconds"},
		"retention-posts": {"p50", "p99", "5 ms"},
	}, "A & B <CPU>", "commit abc123", "a million events")
	if _, err := Retention(dir, &retention.Record{}); err == nil {
		t.Error("nothing was drawn, and there is no error")
	}
}
