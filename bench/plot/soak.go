package plot

import (
	"slices"

	"cowrelay/bench/report"
	"cowrelay/bench/soak"
)

// soakPoints is how many points a line of many samples has at most.
const soakPoints = 60

// Soak draws the record of a soak as pictures in both themes, and returns the
// files.
func Soak(dir string, r *soak.Record) ([]string, error) {
	of := func(f func(*soak.Sample) int64) []curvePoint {
		var ps []curvePoint
		for i := range r.Samples {
			ps = append(ps, curvePoint{x: r.Samples[i].At / 60, y: float64(f(&r.Samples[i]))})
		}
		return thin(ps)
	}
	var live, p50, p99, worst []curvePoint
	for _, b := range r.Readings {
		live = append(live, curvePoint{x: b.At / 60, y: float64(b.Live + b.Store)})
	}
	for _, m := range r.Minutes {
		if m.Posts.Count > 0 {
			at := float64(m.N) + 0.5
			p50 = append(p50, curvePoint{x: at, y: float64(m.Posts.P50)})
			p99 = append(p99, curvePoint{x: at, y: float64(m.Posts.P99)})
			worst = append(worst, curvePoint{x: at, y: float64(m.Posts.Max)})
		}
	}
	return drawTimes(dir, captionOf(&report.Result{Machine: r.Setup.Machine})+"\n"+r.Setup.Variant, "minutes", []timeChart{
		{"soak-memory", lineChart{title: "Memory over the soak", sub: "The live heap was read after a collection of garbage. Counted: by the relay's own books.", yName: "memory", yUnit: kilobytes, lines: []curve{
			{"resident", seriesRelay, of(func(s *soak.Sample) int64 { return s.RSS })},
			{"group's own", seriesBound, of(func(s *soak.Sample) int64 { return s.Own })},
			{"heap", seriesThird, of(func(s *soak.Sample) int64 { return s.Heap })},
			{"live heap", seriesFourth, live},
			{"counted", seriesFifth, of(func(s *soak.Sample) int64 { return s.Counted })},
		}}},
		{"soak-posts", lineChart{title: "Posts over the soak", sub: "Latency by minute, counted from when each post was due.", yName: "latency of posts", yUnit: span, lines: []curve{
			{"p50", seriesRelay, p50}, {"p99", seriesThird, p99}, {"longest", seriesBound, worst},
		}}},
		{"soak-disk", lineChart{title: "The disk over the soak", sub: "All files of the relay's data, the journal's among them, and the events that they hold.", yName: "bytes", yUnit: kilobytes, lines: []curve{
			{"all files", seriesRelay, of(func(s *soak.Sample) int64 { return s.Disk })},
			{"events", seriesThird, of(func(s *soak.Sample) int64 { return s.EventBytes })},
			{"journal", seriesFourth, of(func(s *soak.Sample) int64 { return s.Journal })},
		}}},
		{"soak-things", lineChart{title: "Goroutines and descriptors over the soak", sub: "Each agent has a stream, and opens a connection for each poll.", yName: "number", yUnit: plain, lines: []curve{
			{"goroutines", seriesRelay, of(func(s *soak.Sample) int64 { return s.Goroutines })},
			{"descriptors", seriesThird, of(func(s *soak.Sample) int64 { return s.Descriptors })},
		}}},
	})
}

// thin makes one point, the median, of so many that few are left.
func thin(ps []curvePoint) []curvePoint {
	each := (len(ps) + soakPoints - 1) / soakPoints
	if each < 2 {
		return ps
	}
	var out []curvePoint
	for part := range slices.Chunk(ps, each) {
		ys := make([]float64, len(part))
		for i, p := range part {
			ys[i] = p.y
		}
		slices.Sort(ys)
		out = append(out, curvePoint{x: part[len(part)/2].x, y: ys[len(ys)/2]})
	}
	return out
}
