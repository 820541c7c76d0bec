package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cowrelay/bench/load"
)

// writeMemory writes the figures of idle.
func (r *Result) writeMemory(b *strings.Builder) {
	b.WriteString(r.Relay.memoryText())
	if r.Bound != nil {
		b.WriteString(", bound " + r.Bound.memoryText())
	}
}

func (s *SideResult) memoryText() string {
	if s.Memory == nil {
		return "unknown memory"
	}
	return fmt.Sprintf("%s B a stream (%s of the whole RSS)", load.Thousands(s.Memory.Each), load.Thousands(s.Memory.Whole))
}

// writeParts writes the latencies of mix and cold.
func (r *Result) writeParts(b *strings.Builder) {
	for i, name := range slices.Sorted(maps.Keys(r.Relay.Parts)) {
		if i > 0 {
			b.WriteString(", ")
		}
		l := r.Relay.Parts[name]
		fmt.Fprintf(b, "%s p50 %s p99 %s max %s", name, load.Micros(float64(l.P50)), load.Micros(float64(l.P99)), load.Micros(float64(l.Max)))
	}
	fmt.Fprintf(b, "; %s %s/s", load.Thousands(r.Relay.PerSec), r.Unit)
}

// writeExtra writes what else the relay's rounds measured.
func (r *Result) writeExtra(b *strings.Builder) {
	s := &r.Relay
	if s.Batches != nil {
		b.WriteString("; " + s.Batches.Text())
		if r.Bound != nil && r.Bound.Batches != nil {
			b.WriteString(", bound " + r.Bound.Batches.Text())
		}
	}
	if s.Cold != nil {
		writeCold(b, s.Cold)
	}
	if s.Heartbeats > 0 {
		fmt.Fprintf(b, "; %s heartbeats", load.Thousands(float64(s.Heartbeats)))
		if r.Bound != nil {
			fmt.Fprintf(b, ", bound %s", load.Thousands(float64(r.Bound.Heartbeats)))
		}
	}
	if c := s.AllClosed; c != nil {
		fmt.Fprintf(b, "; no stream counted %s after the last close", load.Micros(*c*1000))
	}
	if g := s.Goroutines; g != nil {
		fmt.Fprintf(b, "; goroutines %d, then %d, and %d after %.0f s", g.Before, g.Soon, g.After, g.Seconds)
	}
	if g := s.Group; g != nil {
		fmt.Fprintf(b, "; group at most %.1f MB (own %.1f, cache %.1f, kernel %.1f, sockets %.1f; %.1f before)",
			float64(g.Peak)/1e6, float64(g.Anon)/1e6, float64(g.Cache)/1e6, float64(g.Kernel)/1e6, float64(g.Sockets)/1e6, float64(g.Setup)/1e6)
		fmt.Fprintf(b, ", %.3f of a core, throttled %.2f s in %d of %d periods", g.CPU, g.Throttled, g.Periods, g.AllPeriods)
	}
	if m := s.Memory; m != nil && m.Streams == 0 {
		fmt.Fprintf(b, "; RSS %.1f MB, then %.1f MB", float64(m.Before)/1e6, float64(m.After)/1e6)
	}
}

// writeCold writes how hot reads and posts went beside cold reads.
func writeCold(b *strings.Builder, c *load.Cold) {
	for _, name := range slices.Sorted(maps.Keys(c.Quiet)) {
		l := c.Quiet[name]
		fmt.Fprintf(b, "; quiet %s p50 %s p99 %s max %s, p99 to quiet %.2f",
			name, load.Micros(float64(l.P50)), load.Micros(float64(l.P99)), load.Micros(float64(l.Max)), c.VsQuiet[name])
	}
	fmt.Fprintf(b, "; quiet %.3f of a core; %s cold windows/s of at most %s, %d refused with 503; %.1f MB of events in %s slots, %.1f times the budget",
		c.QuietCPU, load.Thousands(c.Windows), load.Thousands(c.Rate), c.Refused,
		float64(c.Stored)/1e6, load.Thousands(float64(c.Slots)), float64(c.Stored)/float64(c.Budget))
}
