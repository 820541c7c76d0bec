package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/load"
)

func sampleOf(perSec, cpu, share float64, p99 time.Duration) load.Sample {
	s := load.Sample{PerSec: perSec, ServerCPU: cpu, ServerShare: share, Hist: load.NewHistogram()}
	for range 100 {
		s.Hist.Record(p99)
	}
	s.Latency = s.Hist.Latency()
	return s
}

func TestResult_line(t *testing.T) {
	sub := Subject{Scenario: "poll", Variant: "64 conns", Unit: "requests"}
	relay := []load.Sample{sampleOf(90, 12, 0.6, time.Millisecond), sampleOf(80, 12, 0.6, time.Millisecond), sampleOf(85000, 12, 0.6, time.Millisecond)}
	bound := []load.Sample{sampleOf(100, 10, 0.4, time.Millisecond), sampleOf(100, 10, 0.4, time.Millisecond), sampleOf(100000, 10, 0.4, time.Millisecond)}
	relay[1].Errors, relay[1].FirstError = 3, "status 500"
	r := Compare(sub, relay, bound, Throughput)
	line := r.Line()
	for _, want := range []string{
		"poll (64 conns): 90 requests/s, bound 100/s, ratio 0.85 (0.80..0.90)", "CPU 12µs each, bound 10µs, ratio 1.20 (1.20..1.20)",
		"errors 3 (first: status 500)", "the bound had 40 % of the CPU used", "p99 1ms",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("line %q\nlacks %q", line, want)
		}
	}
	if strings.Contains(line, "the relay had") || strings.Contains(line, "\n") {
		t.Errorf("line %q", line)
	}
	if r.Errors() != 3 {
		t.Errorf("errors = %d", r.Errors())
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Ratio.Median != 0.85 || len(back.Relay.Rounds) != 3 {
		t.Errorf("JSON line %s: %v", b.Bytes(), err)
	}
	if n := bytes.Count(b.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("JSON line has %d line ends", n)
	}
}

func TestResult_p99(t *testing.T) {
	sub := Subject{Scenario: "saturation", Variant: "x", Unit: "requests"}
	r := Compare(sub, []load.Sample{sampleOf(1, 1, 0.9, 3*time.Millisecond)}, []load.Sample{sampleOf(1, 1, 0.9, 2*time.Millisecond)}, TailP99)
	if got := r.Line(); !strings.Contains(got, "p99 3.001ms, bound 2ms, ratio 1.50") && !strings.Contains(got, "p99 3ms, bound 2ms, ratio 1.50") {
		t.Errorf("line %q", got)
	}
	// Without a bound there is no ratio.
	r = Compare(sub, []load.Sample{sampleOf(1, 1, 0.9, time.Millisecond)}, nil, TailP99)
	if r.Bound != nil || r.Ratio != nil || strings.Contains(r.Line(), "bound") {
		t.Errorf("line %q", r.Line())
	}
}

func TestResult_waitedForPosters(t *testing.T) {
	f := func(lag, late int64, want bool) {
		t.Helper()
		s := sampleOf(1, 1, 0.9, 10*time.Millisecond)
		s.Lag, s.Late = &load.Latency{P99: lag}, &load.Latency{P99: late}
		r := Compare(Subject{Scenario: "saturation"}, []load.Sample{s}, nil, TailP99)
		if got := strings.Contains(r.Line(), "waited for a free poster"); got != want {
			t.Errorf("late by %d µs, generator by %d µs: noted %v, want %v", late, lag, got, want)
		}
	}
	f(100, 200, false)
	f(100, 8000, true)
	f(7900, 8000, false) // the generator's own doing
}
