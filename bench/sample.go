package bench

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

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

	hist histogram
}

// account fills in what the clocks say about the time from a to b.
func (s *Sample) account(a, b usage) {
	wall := b.at.Sub(a.at)
	s.Seconds = wall.Seconds()
	if wall <= 0 {
		return
	}
	s.PerSec = float64(s.Ops) / s.Seconds
	s.PullsPerSec = float64(s.Pulls) / s.Seconds
	server, own := b.server-a.server, b.own-a.own
	if server > 0 {
		// Beside pullers the server's CPU is not that of the posts.
		if s.Ops > 0 && s.Pulls == 0 {
			s.ServerCPU = float64(server.Microseconds()) / float64(s.Ops)
		}
		s.ServerShare = float64(server) / float64(server+own)
	}
	cores := float64(wall) * float64(runtime.NumCPU())
	s.Busy = float64(server+own) / cores
	s.Others = max(0, float64(b.machine-a.machine-server-own)/cores)
}

// idle is the part of the machine's CPU that nothing used; 0 where that was not
// read.
func (s *Sample) idle() float64 {
	if s.Busy == 0 {
		return 0
	}
	return max(0, 1-s.Busy-s.Others)
}

// errorLog counts errors of many goroutines and keeps the first.
type errorLog struct {
	mu    sync.Mutex
	n     int64
	first string
}

func (l *errorLog) add(err error) { l.addN(1, err) }

func (l *errorLog) addN(n int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == 0 {
		l.first = err.Error()
	}
	l.n += n
}

func (l *errorLog) into(s *Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Errors += l.n
	if s.FirstError == "" {
		s.FirstError = l.first
	}
}

// answerGrace is how long an answer, or a delivery, may still take after the
// end of a round. A variable for the tests, which wait for some that never
// come.
var answerGrace = 10 * time.Second

// awaitWorkers waits for wg; workers that still wait for an answer after
// answerGrace are interrupted and counted.
func awaitWorkers(wg *sync.WaitGroup, log *errorLog, interrupt func()) {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	t := time.NewTimer(answerGrace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		log.add(fmt.Errorf("no answer within %v of the end of the round", answerGrace))
		interrupt()
		<-done
	}
}
