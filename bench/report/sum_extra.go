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
		if l := x.Loaded; l != nil && (out.Loaded == nil || l.Chunks > out.Loaded.Chunks) {
			out.Loaded = l
		}
		if x.Group != nil {
			out.Group = x.Group
		}
		if x.Cold != nil {
			out.Cold = x.Cold
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
		out.Read, out.Answer = max(out.Read, x.Read), max(out.Answer, x.Answer)
		for name, h := range x.PartHists {
			if _, ok := out.PartHists[name]; !ok {
				out.PartHists[name] = load.NewHistogram()
			}
			out.PartHists[name].Merge(h)
		}
	}
	out.Batches = sumBatches(ss)
	out.Parts = load.LatenciesOf(out.PartHists)
	return out
}

// sumBatches takes the medians of the rates; nil if the rounds have none.
func sumBatches(ss []load.Sample) *load.Batches {
	if len(ss) == 0 || ss[0].Batches == nil {
		return nil
	}
	of := func(f func(*load.Batches) float64) float64 {
		return medianOf(ss, func(s *load.Sample) float64 { return f(s.Batches) })
	}
	out := *ss[0].Batches
	out.PerSec = of(func(b *load.Batches) float64 { return b.PerSec })
	out.BytesPerSec = of(func(b *load.Batches) float64 { return b.BytesPerSec })
	return &out
}
