package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An Extra is what only some scenarios measure.
type Extra struct {
	// Memory is that of the server, in idle and churn.
	Memory *Memory `json:"memory,omitempty"`
	// Goroutines is how many the relay had, in churn.
	Goroutines *Goroutines `json:"goroutines,omitempty"`
	// AllClosed is how long after the last close of churn the relay counted no
	// stream any more, in milliseconds.
	AllClosed *float64 `json:"all_closed_ms,omitempty"`
	// Heartbeats is how many came in the measured time of idle.
	Heartbeats int64 `json:"heartbeats,omitempty"`
	// TimeWait is how many sockets connect left behind at the end of a round.
	TimeWait *TimeWait `json:"time_wait,omitempty"`
	// Parts are the latencies of each kind of operation of mix.
	Parts map[string]Latency `json:"parts,omitempty"`

	parts map[string]histogram
}

// A Memory is the resident memory of a server (VmRSS), in bytes.
type Memory struct {
	Before  int64 `json:"rss_before"` // the first stream, after the slots were made
	After   int64 `json:"rss_after"`
	Streams int   `json:"streams"` // open at After
	// Each is (After-Before)/Streams and Whole is After/Streams, which also
	// holds what the server needs without any stream.
	Each  float64 `json:"bytes_per_stream,omitempty"`
	Whole float64 `json:"rss_per_stream,omitempty"`
}

// Goroutines are counted before the first stream, 2 s after the last, and
// Seconds after it, when they were back, or long should have been.
type Goroutines struct {
	Before  int     `json:"before"`
	Soon    int     `json:"soon"`
	After   int     `json:"after"`
	Seconds float64 `json:"after_s"`
}

// A TimeWait counts sockets in TIME_WAIT: the side that closes first has them.
type TimeWait struct {
	Server int `json:"server"`
	Client int `json:"client"`
}

// sumExtra is what the rounds of one side come to: memory and goroutines from
// before the first to after the last, the worst of what each round leaves.
func sumExtra(ss []Sample) Extra {
	out := Extra{parts: map[string]histogram{}}
	for i := range ss {
		x := &ss[i].Extra
		if m := x.Memory; m != nil {
			if out.Memory != nil {
				m = &Memory{Before: out.Memory.Before, After: m.After, Streams: m.Streams, Each: m.Each, Whole: m.Whole}
			}
			out.Memory = m
		}
		if g := x.Goroutines; g != nil {
			out.Goroutines = g
		}
		if c := x.AllClosed; c != nil && (out.AllClosed == nil || *c > *out.AllClosed) {
			out.AllClosed = c
		}
		if w := x.TimeWait; w != nil {
			if out.TimeWait == nil {
				out.TimeWait = &TimeWait{}
			}
			out.TimeWait.Server = max(out.TimeWait.Server, w.Server)
			out.TimeWait.Client = max(out.TimeWait.Client, w.Client)
		}
		out.Heartbeats += x.Heartbeats
		for name, h := range x.parts {
			if _, ok := out.parts[name]; !ok {
				out.parts[name] = newHistogram()
			}
			out.parts[name].merge(h)
		}
	}
	out.Parts = latenciesOf(out.parts)
	return out
}

// latenciesOf summarizes histograms, or returns nil for none.
func latenciesOf(hs map[string]histogram) map[string]Latency {
	if len(hs) == 0 {
		return nil
	}
	out := map[string]Latency{}
	for name, h := range hs {
		out[name] = h.latency()
	}
	return out
}

// Metrics of scenarios that are about neither throughput nor one latency.
var (
	memoryEach = metric{"bytes_per_stream", func(s *Sample) float64 {
		if s.Memory == nil {
			return 0
		}
		return s.Memory.Each
	}}
	partLatencies = metric{"latencies", func(s *Sample) float64 { return float64(s.Latency.P99) }}
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
	return fmt.Sprintf("%s B a stream (%s of the whole RSS)", count(s.Memory.Each), count(s.Memory.Whole))
}

// writeParts writes the latencies of mix.
func (r *Result) writeParts(b *strings.Builder) {
	for i, name := range slices.Sorted(maps.Keys(r.Relay.Parts)) {
		if i > 0 {
			b.WriteString(", ")
		}
		l := r.Relay.Parts[name]
		fmt.Fprintf(b, "%s p50 %s p99 %s", name, micros(float64(l.P50)), micros(float64(l.P99)))
	}
	fmt.Fprintf(b, "; %s %s/s", count(r.Relay.PerSec), r.Unit)
}

// writeExtra writes what is left of the Extra of the relay.
func (r *Result) writeExtra(b *strings.Builder) {
	s := &r.Relay
	if s.Heartbeats > 0 {
		fmt.Fprintf(b, "; %s heartbeats", count(float64(s.Heartbeats)))
		if r.Bound != nil {
			fmt.Fprintf(b, ", bound %s", count(float64(r.Bound.Heartbeats)))
		}
	}
	if c := s.AllClosed; c != nil {
		fmt.Fprintf(b, "; no stream counted %s after the last close", micros(*c*1000))
	}
	if g := s.Goroutines; g != nil {
		fmt.Fprintf(b, "; goroutines %d, then %d, and %d after %.0f s", g.Before, g.Soon, g.After, g.Seconds)
	}
	if m := s.Memory; m != nil && m.Streams == 0 {
		fmt.Fprintf(b, "; RSS %.1f MB, then %.1f MB", float64(m.Before)/1e6, float64(m.After)/1e6)
	}
}
