package bench

import (
	"regexp"
	"strings"
)

// compared are the scenarios whose throughput is held against the bound's, in
// the order of the overview.
var compared = []string{"poll", "connect", "window", "post", "fanout"}

func ratiosPicture(set *plotSet) drawer {
	c := &rowChart{
		title:    "Throughput beside the bound",
		sub:      "Relay ÷ a bare server that sends the same bytes. Median of the rounds; whiskers: worst and best round.",
		axisName: "part of the bound's throughput", unit: percent,
		reference: 1, referenceName: "bound",
	}
	var shown []*Result
	for _, name := range compared {
		for _, r := range set.of(name) {
			if r.Ratio == nil || r.Compared != throughput.name {
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

// pacedAt matches the variant of saturation whose pullers have a rate.
var pacedAt = regexp.MustCompile(`pullers at [\d.]+/s`)

func outagePicture(set *plotSet) drawer {
	c := &rowChart{
		title:    "Posts while others pull",
		sub:      "Latency of posts at a fixed rate, counted from when each was due. Mark: p99; line: p50 to p99.9.",
		axisName: "latency of posts", unit: span, dots: true,
	}
	shown := set.of("saturation")
	for _, r := range shown {
		// "16 posters at 800/s, no pullers"
		_, kind, ok := strings.Cut(r.Variant, ", ")
		if !ok {
			kind = r.Variant
		}
		add := func(s *SideResult, series int) {
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

func growthPicture(set *plotSet) drawer {
	c := &lineChart{
		title: "A slot that grows", sub: "Median time of a request on one connection. Bars: lowest and highest round.",
		xName: "events in the slot", xUnit: plain, yName: "p50", yUnit: span,
	}
	p50 := func(s *SideResult) Spread { return spreadOf(medianP50.each(s.Rounds)) }
	var shown []*Result
	for i, l := range [][2]string{{"post", "post"}, {"since", "pull from a random place"}, {"poll", "pull of nothing new"}} {
		rs := set.curve(l[0], "events")
		shown = append(shown, rs...)
		c.add(l[1], []int{seriesRelay, seriesThird, seriesFourth}[i], rs, p50)
	}
	if len(c.lines) == 0 {
		return nil
	}
	c.caption = captionOf(shown...)
	return c
}

// add adds a curve of the relay where it has points.
func (c *lineChart) add(name string, series int, rs []*Result, of func(*SideResult) Spread) {
	l := curve{name: name, series: series}
	for _, r := range rs {
		v := of(&r.Relay)
		if v.Median <= 0 {
			continue
		}
		p := curvePoint{x: r.Point.X, y: v.Median}
		if v.Min < v.Max {
			p.lo, p.hi = v.Min, v.Max
		}
		l.points = append(l.points, p)
	}
	if len(l.points) > 0 {
		c.lines = append(c.lines, l)
	}
}

func fanoutPicture(set *plotSet) drawer {
	shown := set.curve("fanout", "streams")
	l := curve{}
	for _, r := range shown {
		if r.Ratio != nil {
			l.points = append(l.points, curvePoint{r.Point.X, r.Ratio.Median, r.Ratio.Min, r.Ratio.Max})
		}
	}
	if len(l.points) == 0 {
		return nil
	}
	return &lineChart{
		title: "Fan-out of one slot", sub: "Deliveries a second, relay ÷ bound. Median of the rounds; bars: worst and best round.",
		xName: "streams", xUnit: plain, yName: "part of the bound's deliveries a second", yUnit: percent,
		reference: 1, referenceName: "bound", lines: []curve{l}, caption: captionOf(shown...),
	}
}

func slotsPicture(set *plotSet) drawer {
	c := &rowChart{
		title: "Slots at rest", sub: "Resident memory of a relay that was started anew, by slot. At the right: from start to readiness.",
		axisName: "memory of a cold slot", unit: kilobytes,
	}
	shown := set.curve("slots cold", "slots")
	for _, r := range shown {
		if r.BytesEach > 0 {
			c.rows = append(c.rows, row{name: count(r.Point.X) + " slots", value: r.BytesEach, note: span(float64(r.Relay.Latency.Max))})
		}
	}
	if len(c.rows) == 0 {
		return nil
	}
	c.caption = captionOf(shown...)
	return c
}
