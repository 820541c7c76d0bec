package bench

import (
	"math"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := newHistogram()
	if got := h.latency(); got != (Latency{}) {
		t.Fatalf("empty histogram: %+v", got)
	}
	for i := 1; i <= 1000; i++ {
		h.record(time.Duration(i) * time.Microsecond)
	}
	l := h.latency()
	for name, v := range map[string][2]int64{
		"count": {l.Count, 1000}, "p50": {l.P50, 500}, "p90": {l.P90, 900},
		"p99": {l.P99, 990}, "p99.9": {l.P999, 999}, "max": {l.Max, 1000},
	} {
		if v[0] != v[1] {
			t.Errorf("%s = %d, want %d", name, v[0], v[1])
		}
	}
	// What is out of range counts at the edge, and is not lost.
	o := newHistogram()
	o.record(-time.Second)
	o.record(time.Hour)
	h.merge(o)
	if l = h.latency(); l.Count != 1002 || math.Abs(float64(l.Max-maxLatency.Microseconds())) > 0.001*float64(maxLatency.Microseconds()) {
		t.Errorf("after a merge: %+v", l)
	}
}

func TestSpread(t *testing.T) {
	f := func(v []float64, want Spread) {
		t.Helper()
		if got := spreadOf(v); got != want {
			t.Errorf("spreadOf(%v) = %v, want %v", v, got, want)
		}
	}
	f(nil, Spread{})
	f([]float64{3}, Spread{3, 3, 3})
	f([]float64{3, 1, 2}, Spread{2, 1, 3})
	f([]float64{4, 1, 2, 3}, Spread{2.5, 1, 4})
}

func TestRatios_pairRounds(t *testing.T) {
	// The machine halves its speed after the first round: each pair still says
	// 0.5, though the medians of the sides would not.
	got := ratios([]float64{100, 50, 50}, []float64{200, 100, 100})
	if got == nil || *got != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("ratios = %v", got)
	}
	if got := ratios([]float64{1, 0}, []float64{0, 1}); got != nil {
		t.Errorf("ratios without a whole pair = %v, want none", got)
	}
	if got := ratios([]float64{1}, nil); got != nil {
		t.Errorf("ratios without a bound = %v, want none", got)
	}
}

func TestSample_account(t *testing.T) {
	at := time.Now()
	a := usage{at: at}
	b := usage{at: at.Add(2 * time.Second), server: time.Second, own: 500 * time.Millisecond, machine: 2 * time.Second}
	s := Sample{Ops: 1000}
	s.account(a, b)
	if s.PerSec != 500 || s.ServerCPU != 1000 || math.Abs(s.ServerShare-2.0/3) > 1e-9 {
		t.Errorf("account: %+v", s)
	}
	if ratio := s.Busy / s.Others; math.Abs(ratio-3) > 1e-9 {
		t.Errorf("busy is %v times what others used, want 3", ratio)
	}
	// Without the server's process there are no figures, and no division by 0.
	s = Sample{}
	s.account(a, usage{at: at.Add(time.Second)})
	if s.ServerCPU != 0 || s.ServerShare != 0 {
		t.Errorf("account without a process: %+v", s)
	}
}

func TestParseProcStat(t *testing.T) {
	got, err := parseProcStat([]byte("42 (a) b (c)) S 1 42 42 0 -1 4194560 9 8 7 6 150 50 1 2 20 0 3 0 99"))
	if err != nil || got != 2*time.Second {
		t.Errorf("parseProcStat = %v, %v, want 2s", got, err)
	}
	for _, bad := range []string{"", "42 (a", "42 (a) S 1 2", "42 (a) S 1 42 42 0 -1 4194560 9 8 7 6 x 50 1"} {
		if _, err := parseProcStat([]byte(bad)); err == nil {
			t.Errorf("parseProcStat(%q) gave no error", bad)
		}
	}
	if got, err := parseMachineStat([]byte("cpu  100 10 40 9999 9999 5 5 40 77 0\ncpu0 1\n")); err != nil || got != 2*time.Second {
		t.Errorf("parseMachineStat = %v, %v, want 2s", got, err)
	}
	if _, err := parseMachineStat([]byte("intr 1")); err == nil {
		t.Error("parseMachineStat of another line gave no error")
	}
}

func TestFitsFiles(t *testing.T) {
	if err := fitsFiles(320, 1024); err != nil {
		t.Error(err)
	}
	err := fitsFiles(2000, 1024)
	if err == nil || err.Error() != "this run needs 2000 open files and the limit is 1024: raise it (ulimit -n 2000) or use fewer connections" {
		t.Errorf("fitsFiles = %v", err)
	}
}
