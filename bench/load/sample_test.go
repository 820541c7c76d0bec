package load

import (
	"math"
	"testing"
	"time"

	"cowrelay/bench/proc"
)

func TestTimed(t *testing.T) {
	if s := Timed(2 * time.Second); s.Ops != 1 || s.Seconds != 2 || s.Latency.Count != 1 || s.Latency.Max < 1_990_000 {
		t.Errorf("sample %+v", s)
	}
}

func TestSample_account(t *testing.T) {
	at := time.Now()
	a := proc.Usage{At: at}
	b := proc.Usage{At: at.Add(2 * time.Second), Server: time.Second, Generator: 500 * time.Millisecond, Machine: 2 * time.Second}
	s := Sample{Ops: 1000}
	s.Account(a, b)
	if s.PerSec != 500 || s.ServerCPU != 1000 || math.Abs(s.ServerShare-2.0/3) > 1e-9 {
		t.Errorf("account: %+v", s)
	}
	if ratio := s.Busy / s.Others; math.Abs(ratio-3) > 1e-9 {
		t.Errorf("busy is %v times what others used, want 3", ratio)
	}
	// Without the server's process there are no figures, and no division by 0.
	s = Sample{}
	s.Account(a, proc.Usage{At: at.Add(time.Second)})
	if s.ServerCPU != 0 || s.ServerShare != 0 {
		t.Errorf("account without a process: %+v", s)
	}
}
