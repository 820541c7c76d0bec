package load

import "fmt"

// Batches is what posts of several events came to in a round, or over all rounds.
// Sample.Ops counts their events, and Sample.Latency is of whole requests.
type Batches struct {
	Events       int     `json:"events"` // of a request; 0: as the client likes
	PerSec       float64 `json:"requests_per_second,omitempty"`
	BytesPerSec  float64 `json:"bytes_per_second"`
	EventBytes   int     `json:"event_bytes"`
	RequestBytes int     `json:"request_bytes,omitempty"` // of a body
}

// CountEvents makes a sample of requests one of events: each request had so many,
// of size bytes.
func (s *Sample) CountEvents(events, size int) {
	s.Batches = &Batches{Events: events, PerSec: s.PerSec, EventBytes: size, RequestBytes: events * (size + 1)}
	s.Ops *= int64(events)
	s.PerSec *= float64(events)
	s.ServerCPU /= float64(events)
	s.Batches.BytesPerSec = s.PerSec * float64(size)
}

// Text is b in words.
func (b *Batches) Text() string {
	text := fmt.Sprintf("%.1f MB/s", b.BytesPerSec/1e6)
	if b.PerSec > 0 {
		text = Thousands(b.PerSec) + " requests/s, " + text
	}
	return text
}
