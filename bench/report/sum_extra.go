package report

import (
	"cowrelay/bench/load"
	"cowrelay/bench/proc"
)

// sumExtra sums up the rounds of one side: memory and goroutines from before
// the first to after the last, and the worst of what each round left behind.
func sumExtra(ss []load.Sample) load.Extra {
	out := load.Extra{PartHists: map[string]load.Histogram{}}
	for i := range ss {
		x := &ss[i].Extra
		if m := x.Memory; m != nil {
			if out.Memory != nil {
				m = &load.Memory{Before: out.Memory.Before, After: m.After, Streams: m.Streams, Each: m.Each, Whole: m.Whole}
			}
			out.Memory = m
		}
		if g := x.Goroutines; g != nil {
			out.Goroutines = g
		}
		if x.Group != nil {
			out.Group = x.Group
		}
		if c := x.AllClosed; c != nil && (out.AllClosed == nil || *c > *out.AllClosed) {
			out.AllClosed = c
		}
		if w := x.TimeWait; w != nil {
			if out.TimeWait == nil {
				out.TimeWait = &proc.TimeWait{}
			}
			out.TimeWait.Server = max(out.TimeWait.Server, w.Server)
			out.TimeWait.Client = max(out.TimeWait.Client, w.Client)
		}
		out.Heartbeats += x.Heartbeats
		for name, h := range x.PartHists {
			if _, ok := out.PartHists[name]; !ok {
				out.PartHists[name] = load.NewHistogram()
			}
			out.PartHists[name].Merge(h)
		}
	}
	out.Parts = load.LatenciesOf(out.PartHists)
	return out
}
