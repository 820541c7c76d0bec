package load

import (
	"runtime"
	"time"

	"cowrelay/bench/proc"
)

// A Sample is one round of one side.
type Sample struct {
	// Ops is how many requests, or deliveries in fanout, were completed in the
	// measured time and were right.
	Ops     int64   `json:"ops"`
	Seconds float64 `json:"seconds"`
	PerSec  float64 `json:"per_second"`
	// ServerCPU is the server's CPU time in microseconds for each op; 0 if its
	// process is unknown.
	ServerCPU float64 `json:"server_cpu_us_per_op"`
	// ServerShare is the server's part of the CPU time that server and
	// generator used, 0 to 1.
	ServerShare float64 `json:"server_cpu_share"`
	// Busy and Others are parts of the whole machine's CPU time, 0 to 1: Busy
	// is what server and generator used, and Others what all other processes
	// used.
	Busy   float64 `json:"cpu_busy"`
	Others float64 `json:"cpu_others"`
	// Errors counts answers that were wrong or missing, in the warm-up too.
	Errors     int64   `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
	Latency    Latency `json:"latency"`
	// These are of saturation. Pulls are the windows that were taken beside the
	// posts. Lag is how late the generator itself was. Late is how late posts
	// were sent, for that reason or because every poster waited for an answer.
	// Unsent counts posts that were due and could not be sent in time.
	Pulls       int64    `json:"pulls,omitempty"`
	PullsPerSec float64  `json:"pulls_per_second,omitempty"`
	Lag         *Latency `json:"generator_lag,omitempty"`
	Late        *Latency `json:"sent_late,omitempty"`
	Unsent      int64    `json:"unsent,omitempty"`
	Extra

	// Hist holds the latencies behind Latency, so that those of all rounds can
	// be summed up.
	Hist Histogram `json:"-"`
}

// Timed is the sample of one thing that took d.
func Timed(d time.Duration) Sample {
	s := Sample{Ops: 1, Seconds: d.Seconds(), Hist: NewHistogram()}
	s.Hist.Record(d)
	s.Latency = s.Hist.Latency()
	s.PerSec = 1 / s.Seconds
	return s
}

// Account fills in what follows from the clocks at the start a and the end b of
// the measured time.
func (s *Sample) Account(a, b proc.Usage) {
	wall := b.At.Sub(a.At)
	s.Seconds = wall.Seconds()
	if wall <= 0 {
		return
	}
	s.PerSec = float64(s.Ops) / s.Seconds
	s.PullsPerSec = float64(s.Pulls) / s.Seconds
	server, own := b.Server-a.Server, b.Generator-a.Generator
	if server > 0 {
		// Beside pullers, most of the server's CPU time is not for the posts.
		if s.Ops > 0 && s.Pulls == 0 {
			s.ServerCPU = float64(server.Microseconds()) / float64(s.Ops)
		}
		s.ServerShare = float64(server) / float64(server+own)
	}
	cores := float64(wall) * float64(runtime.NumCPU())
	s.Busy = float64(server+own) / cores
	s.Others = max(0, float64(b.Machine-a.Machine-server-own)/cores)
}

// Idle is the part of the machine's CPU time that nobody used; 0 if that was
// not read.
func (s *Sample) Idle() float64 {
	if s.Busy == 0 {
		return 0
	}
	return max(0, 1-s.Busy-s.Others)
}
