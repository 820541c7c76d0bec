package plot

import (
	"slices"

	"cowrelay/bench/report"
)

// memoryPicture shows what a silent stream costs at each server that idle was
// run with, the peers included.
func memoryPicture(set *set) drawer {
	c := &rowChart{
		title:    "Memory of a silent stream",
		axisName: "resident memory that a stream added", unit: kilobytes,
	}
	var shown []*report.Result
	add := func(name string, r *report.Result, s *report.SideResult, series int) {
		known := slices.ContainsFunc(c.rows, func(r row) bool { return r.name == name })
		if s == nil || s.Memory == nil || s.Memory.Each <= 0 || known {
			return
		}
		shown = append(shown, r)
		c.rows = append(c.rows, row{name: name, value: s.Memory.Each, note: kilobytes(s.Memory.Whole), series: series})
	}
	idle := set.all("idle")
	// The relay is in all of these runs. The one beside the bound comes first.
	for _, r := range idle {
		if r.Peer == "" {
			add("relay", r, &r.Relay, seriesRelay)
			add("bound", r, r.Bound, seriesBound)
		}
	}
	for _, r := range idle {
		if r.Peer != "" && r.Skipped == "" {
			add("relay", r, &r.Relay, seriesRelay)
			add(r.Peer, r, r.Bound, seriesThird)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	c.sub = shown[0].Variant + ". Right: all of the server's memory, by stream."
	c.caption = captionOf(shown...)
	return c
}
