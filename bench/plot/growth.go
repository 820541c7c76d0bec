package plot

import (
	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

// growthPicture shows the time of requests over the events in a slot.
func growthPicture(set *set) drawer {
	c := &lineChart{
		title: "A slot that grows", sub: "Median time of a request on one connection. Bars: lowest and highest round.",
		xName: "events in the slot", xUnit: plain, yName: "p50", yUnit: span,
	}
	p50 := func(s *report.SideResult) report.Spread { return report.SpreadOf(report.MedianP50.Each(s.Rounds)) }
	var shown []*report.Result
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
func (c *lineChart) add(name string, series int, rs []*report.Result, of func(*report.SideResult) report.Spread) {
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

// fanoutPicture shows deliveries, to the bound's, over the streams.
func fanoutPicture(set *set) drawer {
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

// slotsPicture shows the memory of slots that nobody uses.
func slotsPicture(set *set) drawer {
	c := &rowChart{
		title: "Slots at rest", sub: "Resident memory of a relay that was started anew, by slot. At the right: from start to readiness.",
		axisName: "memory of a cold slot", unit: kilobytes,
	}
	shown := set.curve("slots cold", "slots")
	for _, r := range shown {
		if r.BytesEach > 0 {
			c.rows = append(c.rows, row{name: load.Thousands(r.Point.X) + " slots", value: r.BytesEach, note: span(float64(r.Relay.Latency.Max))})
		}
	}
	if len(c.rows) == 0 {
		return nil
	}
	c.caption = captionOf(shown...)
	return c
}
