package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestProgress_lines(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1, 0)
	p := newProgress(&b, false, func() time.Time { return now })
	tr := newTrack(p, "post")
	tr.begin(10 * time.Second)
	tr.add(time.Second)
	tr.add(time.Second) // too early for a second line
	now = now.Add(lineEvery)
	tr.step("round 2")
	p.Clear()
	want := "post:  10 % \npost:  20 % round 2\n"
	if b.String() != want {
		t.Errorf("progress = %q, want %q", b.String(), want)
	}
}

func TestProgress_bar(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(1, 0)
	p := newProgress(&b, true, func() time.Time { return now })
	p.Show("x", 0.5, "long text")
	now = now.Add(barEvery)
	p.Show("x", 2, "end")
	p.Clear()
	bar := "x [############............]  50 % long text"
	want := "\r" + bar + "\rx [########################] 100 % end" + strings.Repeat(" ", len("long text")-len("end")) +
		"\r" + strings.Repeat(" ", len(bar)-6) + "\r"
	if b.String() != want {
		t.Errorf("bar = %q\nwant  %q", b.String(), want)
	}
	var none *Progress
	none.Show("x", 1, "")
	none.Clear()
}

func sampleOf(perSec, cpu, share float64, p99 time.Duration) Sample {
	s := Sample{PerSec: perSec, ServerCPU: cpu, ServerShare: share, hist: newHistogram()}
	for range 100 {
		s.hist.record(p99)
	}
	s.Latency = s.hist.latency()
	return s
}

func TestResult_line(t *testing.T) {
	sc := scenario{name: "poll", variant: "64 conns", unit: "requests"}
	relay := []Sample{sampleOf(90, 12, 0.6, time.Millisecond), sampleOf(80, 12, 0.6, time.Millisecond), sampleOf(85000, 12, 0.6, time.Millisecond)}
	bound := []Sample{sampleOf(100, 10, 0.4, time.Millisecond), sampleOf(100, 10, 0.4, time.Millisecond), sampleOf(100000, 10, 0.4, time.Millisecond)}
	relay[1].Errors, relay[1].FirstError = 3, "status 500"
	r := compare(sc, relay, bound, throughput)
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
	sc := scenario{name: "saturation", variant: "x", unit: "requests"}
	r := compare(sc, []Sample{sampleOf(1, 1, 0.9, 3*time.Millisecond)}, []Sample{sampleOf(1, 1, 0.9, 2*time.Millisecond)}, tailP99)
	if got := r.Line(); !strings.Contains(got, "p99 3.001ms, bound 2ms, ratio 1.50") && !strings.Contains(got, "p99 3ms, bound 2ms, ratio 1.50") {
		t.Errorf("line %q", got)
	}
	// Without a bound there is no ratio.
	r = compare(sc, []Sample{sampleOf(1, 1, 0.9, time.Millisecond)}, nil, tailP99)
	if r.Bound != nil || r.Ratio != nil || strings.Contains(r.Line(), "bound") {
		t.Errorf("line %q", r.Line())
	}
}

func TestResult_waitedForPosters(t *testing.T) {
	f := func(lag, late int64, want bool) {
		t.Helper()
		s := sampleOf(1, 1, 0.9, 10*time.Millisecond)
		s.Lag, s.Late = &Latency{P99: lag}, &Latency{P99: late}
		r := compare(scenario{name: "saturation"}, []Sample{s}, nil, tailP99)
		if got := strings.Contains(r.Line(), "waited for a free poster"); got != want {
			t.Errorf("late by %d µs, generator by %d µs: noted %v, want %v", late, lag, got, want)
		}
	}
	f(100, 200, false)
	f(100, 8000, true)
	f(7900, 8000, false) // the generator's own doing
}

func TestCount(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := count(v); got != want {
			t.Errorf("count(%v) = %q, want %q", v, got, want)
		}
	}
	f(0, "0")
	f(999.4, "999")
	f(1000, "1,000")
	f(1234567, "1,234,567")
}

func TestConfig_validateListsAll(t *testing.T) {
	c := Defaults()
	c.Rounds, c.Page, c.Target, c.Conns = 0, 5000, "https://x", []int{0}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"rounds 0", "page 5000", `target "https://x"`, "conns 0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q\nlacks %q", err, want)
		}
	}
}
