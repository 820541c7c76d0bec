package plot

import "cowrelay/bench/report"

// peerPicture shows the relay's throughput beside a peer's, and what the peer
// promises less.
func peerPicture(peer, name string) func(*set) drawer {
	return func(set *set) drawer {
		c := &rowChart{
			title:    "Throughput beside " + name,
			sub:      "Relay ÷ " + name + ". Median of the rounds; whiskers: worst and best round.",
			axisName: "times the throughput of " + name, unit: times,
			reference: 1, referenceName: name,
		}
		var shown []*report.Result
		for i := range set.rs {
			r := &set.rs[i]
			if r.Peer != peer || r.Ratio == nil || r.Compared != report.Throughput.Name || r.Bound == nil {
				continue
			}
			shown = append(shown, r)
			c.rows = append(c.rows, row{
				name: r.Scenario + ": " + r.Variant, value: r.Ratio.Median, lo: r.Ratio.Min, hi: r.Ratio.Max,
				note: plain(r.Relay.PerSec) + " against " + plain(r.Bound.PerSec) + " " + r.Unit + "/s",
			})
		}
		if len(shown) == 0 {
			return nil
		}
		c.caption = captionOf(shown...)
		if p := shown[0].Promises; p != "" {
			c.caption = name + ": " + p + "\n" + c.caption
		}
		return c
	}
}
