package report

import (
	"fmt"
	"strings"

	"cowrelay/bench/load"
)

// peerLine is Line for a result beside a peer.
func (r *Result) peerLine() string {
	var b strings.Builder
	if r.Skipped != "" {
		fmt.Fprintf(&b, "%s (%s): skipped: %s", r.Scenario, r.Peer, r.Skipped)
		return b.String()
	}
	fmt.Fprintf(&b, "%s beside %s (%s): ", r.Scenario, r.Peer, r.Variant)
	each := "each"
	if r.Compared == MemoryEach.Name {
		each = "a stream and second"
		fmt.Fprintf(&b, "%s, %s %s", r.Relay.memoryText(), r.Peer, r.Bound.memoryText())
	} else {
		fmt.Fprintf(&b, "%s %s/s, %s %s/s", load.Thousands(r.Relay.PerSec), r.Unit, r.Peer, load.Thousands(r.Bound.PerSec))
	}
	writeRatio(&b, ", ratio", r.Ratio)
	fmt.Fprintf(&b, "; server's CPU %s %s, %s %s", cpuText(&r.Relay), each, r.Peer, cpuText(r.Bound))
	writeRatio(&b, ", ratio", r.CPURatio)
	fmt.Fprintf(&b, "; latency %s, %s %s", r.Relay.Latency, r.Peer, r.Bound.Latency)
	fmt.Fprintf(&b, "; errors %d", r.Errors())
	for _, s := range []*SideResult{&r.Relay, r.Bound} {
		if s.FirstError != "" {
			fmt.Fprintf(&b, " (first: %s)", s.FirstError)
		}
	}
	fmt.Fprintf(&b, "; what %s promises: %s", r.Peer, r.Promises)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "; NOTE: %s", n)
	}
	return b.String()
}

// cpuText is a side's CPU time for each op, which is unknown if its process is.
func cpuText(s *SideResult) string {
	if s.ServerCPU == 0 {
		return "unknown"
	}
	return load.Micros(s.ServerCPU)
}
