package plot

import (
	"strings"

	"cowrelay/bench/report"
)

// compared are the scenarios whose throughput is held against the bound's, in
// the order in which they are shown.
var compared = []string{"poll", "connect", "window", "post", "batch", "post-file", "fanout", "claim", "directory"}

// ratiosPicture shows throughput beside the bound, for all those scenarios.
func ratiosPicture(set *set) drawer {
	c := &rowChart{
		title:    "Throughput beside the bound",
		sub:      "Relay ÷ a bare server that sends the same bytes. Median of the rounds; whiskers: worst and best round.",
		axisName: "part of the bound's throughput", unit: percent,
		reference: 1, referenceName: "bound",
	}
	var shown []*report.Result
	for _, name := range compared {
		for _, r := range set.of(name) {
			if r.Ratio == nil || r.Compared != report.Throughput.Name {
				continue
			}
			shown = append(shown, r)
			c.rows = append(c.rows, row{
				name: r.Scenario + ": " + r.Variant, value: r.Ratio.Median, lo: r.Ratio.Min, hi: r.Ratio.Max,
				note: plain(r.Relay.PerSec) + " " + r.Unit + "/s",
			})
		}
	}
	if len(shown) == 0 {
		return nil
	}
	c.caption = captionOf(shown...)
	return c
}

// outagePicture shows the latency of posts beside pullers.
func outagePicture(set *set) drawer {
	return besidePicture(set, "saturation", "Posts while others pull")
}

// batchesPicture shows the latency of posts beside a flood of batches.
func batchesPicture(set *set) drawer {
	return besidePicture(set, "batch-beside", "Posts of one event while others post batches")
}

func besidePicture(set *set, scenario, title string) drawer {
	c := &rowChart{
		title:    title,
		sub:      "Latency of posts at a fixed rate, counted from when each was due. Mark: p99; line: p50 to p99.9.",
		axisName: "latency of posts", unit: span, dots: true,
	}
	shown := set.of(scenario)
	for _, r := range shown {
		// "16 posters at 800/s, no pullers"
		_, kind, ok := strings.Cut(r.Variant, ", ")
		if !ok {
			kind = r.Variant
		}
		add := func(s *report.SideResult, series int) {
			if s != nil && s.Latency.Count > 0 {
				l := s.Latency
				c.rows = append(c.rows, row{group: kind, value: float64(l.P99), lo: float64(l.P50), hi: float64(l.P999), series: series})
			}
		}
		add(&r.Relay, seriesRelay)
		add(r.Bound, seriesBound)
	}
	if len(c.rows) == 0 {
		return nil
	}
	c.seriesIn(map[int]string{seriesRelay: "relay", seriesBound: "bound"})
	c.caption = captionOf(shown...)
	return c
}
