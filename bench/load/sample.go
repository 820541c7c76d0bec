package load

import (
	"runtime"
	"time"

	"cowrelay/bench/proc"
)

// Timed is the sample of one thing that took d.
func Timed(d time.Duration) Sample {
	s := Sample{Ops: 1, Seconds: d.Seconds(), Hist: NewHistogram()}
	s.Hist.Record(d)
	s.Latency = s.Hist.Latency()
	s.PerSec = 1 / s.Seconds
	return s
}

// A Sample is one round of one side.
type Sample struct {
	// Ops is what was completed and was right in the measured time: requests,
	// or deliveries in fanout.
	Ops     int64   `json:"ops"`
	Seconds float64 `json:"seconds"`
	PerSec  float64 `json:"per_second"`
	// ServerCPU is the server's CPU in microseconds an op; 0 when its process
	// is unknown.
	ServerCPU float64 `json:"server_cpu_us_per_op"`
	// ServerShare is the server's part of the CPU that server and generator
	// used, 0 to 1.
	ServerShare float64 `json:"server_cpu_share"`
	// Busy and Others are parts of the whole machine's CPU, 0 to 1: what server
	// and generator used, and what all other processes used.
	Busy   float64 `json:"cpu_busy"`
	Others float64 `json:"cpu_others"`
	// Errors counts what came back wrong or not at all, in warm-up too.
	Errors     int64   `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
	Latency    Latency `json:"latency"`
	// Pulls, PullsPerSec, Lag, Late and Unsent are those of saturation: windows
	// taken beside the posts, how late the generator itself was, how late posts
	// were sent (for that reason, or because every poster waited for an answer),
	// and posts that were due but could not be sent in time.
	Pulls       int64    `json:"pulls,omitempty"`
	PullsPerSec float64  `json:"pulls_per_second,omitempty"`
	Lag         *Latency `json:"generator_lag,omitempty"`
	Late        *Latency `json:"sent_late,omitempty"`
	Unsent      int64    `json:"unsent,omitempty"`
	Extra

	// Hist holds the latencies behind Latency, to be summed up over the rounds.
	Hist Histogram `json:"-"`
}

// Account fills in what the clocks say about the time from a to b.
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
		// Beside pullers the server's CPU is not that of the posts.
		if s.Ops > 0 && s.Pulls == 0 {
			s.ServerCPU = float64(server.Microseconds()) / float64(s.Ops)
		}
		s.ServerShare = float64(server) / float64(server+own)
	}
	cores := float64(wall) * float64(runtime.NumCPU())
	s.Busy = float64(server+own) / cores
	s.Others = max(0, float64(b.Machine-a.Machine-server-own)/cores)
}

// Idled is the part of the machine's CPU that nothing used; 0 where that was not
// read.
func (s *Sample) Idle() float64 {
	if s.Busy == 0 {
		return 0
	}
	return max(0, 1-s.Busy-s.Others)
}
