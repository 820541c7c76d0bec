package report

import (
	"cmp"
	"fmt"
	"strings"

	"cowrelay/bench/load"
)

// Line is r as a line for a reader, without a line end.
func (r *Result) Line() string {
	if r.Peer != "" {
		return r.peerLine()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): ", r.Scenario, r.Variant)
	of := map[string]func(*load.Latency) int64{
		MedianP50.Name: func(l *load.Latency) int64 { return l.P50 },
		TailP99.Name:   func(l *load.Latency) int64 { return l.P99 },
		Worst.Name:     func(l *load.Latency) int64 { return l.Max },
	}[r.Compared]
	switch {
	case r.Compared == MemoryEach.Name:
		r.writeMemory(&b)
	case r.Compared == PartLatencies.Name:
		r.writeParts(&b)
	case r.Compared == BytesRead.Name:
		fmt.Fprintf(&b, "the relay read %s B for an answer of %s B", load.Thousands(float64(r.Relay.Read)), load.Thousands(float64(r.Relay.Answer)))
		if l := r.Relay.Loaded; l != nil {
			fmt.Fprintf(&b, ": the tables of %d slots and %d chunks of events", l.Slots, l.Chunks)
		}
	case of != nil:
		fmt.Fprintf(&b, "%s %s", r.Compared, load.Micros(float64(of(&r.Relay.Latency))))
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s", load.Micros(float64(of(&r.Bound.Latency))))
		}
		if r.OverBound != nil {
			fmt.Fprintf(&b, ", %s over the bound", load.Micros(float64(*r.OverBound)))
		}
	default:
		fmt.Fprintf(&b, "%s %s/s", load.Thousands(r.Relay.PerSec), r.Unit)
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s/s", load.Thousands(r.Bound.PerSec))
		}
	}
	writeRatio(&b, ", ratio", r.Ratio)
	writeRatio(&b, ", to the curve's first point", r.VsFirst)
	if r.BytesEach > 0 {
		fmt.Fprintf(&b, "; %.0f B each", r.BytesEach)
		if r.BytesEachMore != 0 {
			fmt.Fprintf(&b, ", %.0f B beyond the last point", r.BytesEachMore)
		}
	}
	writeRatio(&b, "; to its own p99 with "+r.QuietName, r.VsQuiet)
	if r.BoundVsQuiet != nil {
		writeRatio(&b, ", the bound's", r.BoundVsQuiet)
	}
	if r.Relay.PullsPerSec > 0 {
		fmt.Fprintf(&b, "; %s %s/s", load.Thousands(r.Relay.PullsPerSec), cmp.Or(r.PullsName, "pulls"))
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s", load.Thousands(r.Bound.PullsPerSec))
		}
		fmt.Fprintf(&b, ", CPU %.0f %% idle", r.Relay.Idle*100)
	}
	if r.Relay.Lag != nil {
		fmt.Fprintf(&b, "; generator late by p99 %s", load.Micros(float64(r.Relay.Lag.P99)))
	}
	if r.Relay.ServerCPU > 0 && r.Relay.PullsPerSec == 0 {
		each := "each"
		if r.Compared == MemoryEach.Name {
			each = "a stream and second"
		}
		fmt.Fprintf(&b, "; CPU %s %s", load.Micros(r.Relay.ServerCPU), each)
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound %s", load.Micros(r.Bound.ServerCPU))
		}
		writeRatio(&b, ", ratio", r.CPURatio)
		fmt.Fprintf(&b, "; server's CPU share %.0f %%", r.Relay.ServerShare*100)
		if r.Bound != nil {
			fmt.Fprintf(&b, ", bound's %.0f %%", r.Bound.ServerShare*100)
		}
	}
	r.writeExtra(&b)
	if r.Compared != PartLatencies.Name {
		fmt.Fprintf(&b, "; latency %s", r.Relay.Latency)
	}
	if r.Bound != nil {
		fmt.Fprintf(&b, ", bound %s", r.Bound.Latency)
	}
	fmt.Fprintf(&b, "; errors %d", r.Errors())
	for _, s := range []*SideResult{&r.Relay, r.Bound} {
		if s != nil && s.FirstError != "" {
			fmt.Fprintf(&b, " (first: %s)", s.FirstError)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "; NOTE: %s", n)
	}
	return b.String()
}

// writeRatio writes a spread behind what it is of, unless it is nil.
func writeRatio(b *strings.Builder, what string, s *Spread) {
	if s != nil {
		fmt.Fprintf(b, "%s %.2f (%.2f..%.2f)", what, s.Median, s.Min, s.Max)
	}
}
