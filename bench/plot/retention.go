package plot

import (
	"cowrelay/bench/report"
	"cowrelay/bench/retention"
)

// Retention draws the record of a run of events that expire as pictures in both themes,
// and returns the files.
func Retention(dir string, r *retention.Record) ([]string, error) {
	var disk, left, p50, p99 []curvePoint
	for i := range r.Samples {
		s := &r.Samples[i]
		disk = append(disk, curvePoint{x: s.At, y: float64(s.Disk)})
		left = append(left, curvePoint{x: s.At, y: float64(s.Left)})
	}
	for _, s := range r.Slices {
		if s.Posts.Count > 0 {
			p50 = append(p50, curvePoint{x: s.At, y: float64(s.Posts.P50)})
			p99 = append(p99, curvePoint{x: s.At, y: float64(s.Posts.P99)})
		}
	}
	return drawTimes(dir, captionOf(&report.Result{Machine: r.Setup.Machine})+"\n"+r.Setup.Variant, "seconds", []timeChart{
		{"retention-disk", lineChart{title: "The disk while events expire", sub: "All files of the data folder, store and log, and the events that the relay has.", yName: "bytes", yUnit: kilobytes, lines: []curve{
			{"disk", seriesRelay, disk}, {"events", seriesThird, left},
		}}},
		{"retention-posts", lineChart{title: "Posts while events expire", sub: "Latency of single posts at a fixed rate, counted from when each was due.", yName: "latency of posts", yUnit: span, lines: []curve{
			{"p50", seriesRelay, p50}, {"p99", seriesThird, p99},
		}}},
	})
}
