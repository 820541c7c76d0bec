package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

// sampleOf is a round of some throughput whose answers all took d.
func sampleOf(perSec, cpu, share float64, d time.Duration) load.Sample {
	s := load.Sample{PerSec: perSec, ServerCPU: cpu, ServerShare: share, Hist: load.NewHistogram()}
	for range 100 {
		s.Hist.Record(d)
	}
	s.Latency = s.Hist.Latency()
	return s
}

// plotResults are results for all pictures but that of NATS.
func plotResults() []report.Result {
	sample := func(perSec float64, p50 time.Duration) []load.Sample {
		var out []load.Sample
		for i := range 3 {
			s := sampleOf(perSec*float64(10+i)/11, 10, 0.7, p50*time.Duration(10+i)/11)
			out = append(out, s)
		}
		return out
	}
	var rs []report.Result
	add := func(name, variant string, p *report.Point, m report.Metric) *report.Result {
		r := report.Compare(report.Subject{Scenario: name, Variant: variant, Unit: "requests"}, sample(900, 3*time.Millisecond), sample(1000, 2*time.Millisecond), m)
		r.Point = p
		r.Machine = report.Machine{Commit: "abc123", Go: "go1.99", CPU: "A & B <CPU>", Cores: 2, Kernel: "6.1", DataFS: "ext4", Date: "2026-01-02T03:04:05Z"}
		rs = append(rs, r)
		return &rs[len(rs)-1]
	}
	for _, s := range compared {
		add(s, "64 conns", nil, report.Throughput)
	}
	for _, kind := range []string{"no pullers", "64 pullers that never rest", "64 pullers at 300/s"} {
		add("saturation", "16 posters at 800/s, "+kind, nil, report.TailP99)
	}
	for _, kind := range []string{"no batches", "16 posters of batches that never rest", "16 posters of batches at 300/s"} {
		add("batch-beside", "64 posters at 2000/s, "+kind, nil, report.TailP99)
	}
	for _, x := range []float64{1000, 10_000, 200_000} {
		add("growth", fmt.Sprint("post ", x), &report.Point{Curve: "post", Axis: "events", X: x}, report.MedianP50)
		add("growth", fmt.Sprint("since ", x), &report.Point{Curve: "since", Axis: "events", X: x}, report.MedianP50)
		add("growth", fmt.Sprint("slots ", x), &report.Point{Curve: "slots cold", Axis: "slots", X: x}, report.Worst).BytesEach = 300
	}
	add("idle", "9 streams over 4 slots", nil, report.MemoryEach)
	for i, s := range []*report.SideResult{&rs[len(rs)-1].Relay, rs[len(rs)-1].Bound} {
		s.Memory = &load.Memory{Each: 5000 - 1000*float64(i), Whole: 7000}
	}
	peer := add("idle", "9 streams over 4 slots", nil, report.MemoryEach)
	peer.Peer, peer.Relay.Memory, peer.Bound.Memory = "nchan", &load.Memory{Each: 5100}, &load.Memory{Each: 9000, Whole: 9500}
	peer = add("post", "64 conns; relay: --sync off", nil, report.Throughput)
	peer.Peer, peer.Promises = "nchan", "nothing, "+strings.Repeat("and again nothing ", 10)
	peer.Variant = "64 conns, the last 1000 of 3495 x 300 B; relay: --sync off"
	bare := add("fleet-post", "63 posters", nil, report.Throughput)
	bare.Peer, bare.Promises = "bare publish", "three copies"
	rs = append(rs, report.Result{Scenario: "peers", Peer: "nats", Skipped: "not installed"})
	for _, x := range []float64{1, 256} {
		add("growth", fmt.Sprint("streams ", x), &report.Point{Curve: "fanout", Axis: "streams", X: x}, report.Throughput)
	}
	return rs
}

func TestPlot(t *testing.T) {
	dir := t.TempDir()
	files, err := Draw(dir, plotResults())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"ratios":  {"connect: 64 conns", "90 %", "900 requests/s", "part of the bound's throughput", "bound"},
		"outage":  {"no pullers", "64 pullers that never rest", "64 pullers at 300/s", "latency of posts", "ms", "relay", "bound"},
		"batches": {"no batches", "16 posters of batches that never rest", "latency of posts", "ms", "relay", "bound"},
		"growth":  {"post", "pull from a random place", "200k", "events in the slot", "3 ms"},
		"memory":  {"relay", "5 KB", "bound", "4 KB", "nchan", "9 KB", "9.5 KB"},
		"nchan":   {"post: 64 conns, the last 1000 of 3495 x 300 B; relay: --sync off", "0.9×", "900 against 1k requests/s", "Nchan: nothing,"},
		"fleet":   {"fleet-post: 63 posters", "0.9×", "a bare publish: three copies"},
		"fanout":  {"streams", "256", "90 %"},
		"slots":   {"200,000 slots", "300 B"},
	} {
		for _, theme := range []string{"light", "dark"} {
			file := filepath.Join(dir, name+"-"+theme+".svg")
			if !slices.Contains(files, file) {
				t.Errorf("%s is not among %q", file, files)
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts := checkPicture(t, file, b)
			if name != "memory" && name != "nchan" && strings.Contains(texts, "nchan") {
				t.Errorf("%s shows a peer in the place of the bound:\n%s", file, texts)
			}
			for _, w := range append(want, "A & B <CPU>", "commit abc123", "2026-01-02") {
				if !strings.Contains(texts, w) {
					t.Errorf("%s lacks %q:\n%s", file, w, texts)
				}
			}
		}
	}
}

// checkPicture returns the texts of a picture. The picture must be whole, and
// all of it within its edges.
func checkPicture(t *testing.T, name string, b []byte) string {
	t.Helper()
	var texts strings.Builder
	d := xml.NewDecoder(bytes.NewReader(b))
	height := 0.0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts.String()
		}
		if err != nil {
			t.Fatalf("%s is no XML: %v", name, err)
		}
		switch tok := tok.(type) {
		case xml.CharData:
			texts.Write(tok)
		case xml.StartElement:
			for _, a := range tok.Attr {
				v, err := strconv.ParseFloat(a.Value, 64)
				if err != nil {
					continue
				}
				if tok.Name.Local == "svg" && a.Name.Local == "height" {
					height = v
				}
				if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v > max(plotWidth, height) {
					t.Errorf("%s: %s of a %s is %v, outside of the picture", name, a.Name.Local, tok.Name.Local, v)
				}
			}
		}
	}
}

func TestPlot_partOfResults(t *testing.T) {
	f := func(want []string, rs ...report.Result) {
		t.Helper()
		files, err := Draw(t.TempDir(), rs)
		var got []string
		for _, name := range files {
			if base, ok := strings.CutSuffix(filepath.Base(name), "-light.svg"); ok {
				got = append(got, base)
			}
		}
		if !slices.Equal(got, want) || (err != nil) != (len(want) == 0) {
			t.Errorf("pictures %q, error %v, want %q", got, err, want)
		}
	}
	poll := report.Compare(report.Subject{Scenario: "poll"}, []load.Sample{sampleOf(9, 1, 0.7, time.Millisecond)}, []load.Sample{sampleOf(10, 1, 0.7, time.Millisecond)}, report.Throughput)
	f([]string{"ratios"}, poll)
	// Without a bound there is nothing to compare with.
	poll.Bound, poll.Ratio = nil, nil
	f(nil, poll)
	f(nil)
	// One side alone, and a time of nothing at all.
	f([]string{"outage"}, report.Compare(report.Subject{Scenario: "saturation", Variant: "x"}, []load.Sample{sampleOf(9, 1, 0.7, 0)}, nil, report.TailP99))
	// One point is a curve too.
	one := report.Compare(report.Subject{Scenario: "growth"}, []load.Sample{sampleOf(9, 1, 0.7, time.Millisecond)}, nil, report.MedianP50)
	one.Point = &report.Point{Curve: "post", Axis: "events", X: 1000}
	f([]string{"growth"}, one)
}

// A picture of wrong answers says so.
func TestPlot_saysErrors(t *testing.T) {
	rs := plotResults()
	rs[0].Relay.Errors = 7
	set := newSet(rs)
	if got := string(ratiosPicture(set).draw(themes[0])); !strings.Contains(got, "NOT VALID: 7 answers were wrong or missing") {
		t.Errorf("the picture does not tell of wrong answers:\n%s", got)
	}
	if got := string(outagePicture(set).draw(themes[0])); strings.Contains(got, "NOT VALID") {
		t.Errorf("the picture tells of the errors of other loads:\n%s", got)
	}
}

func TestPlotSet_lastOfALoadCounts(t *testing.T) {
	var rs []report.Result
	for i, v := range []string{"at 5/s, pullers at 10/s", "at 5/s, pullers at 12/s", "at 5/s, no pullers", "at 5/s, no pullers"} {
		rs = append(rs, report.Result{Scenario: "saturation", Variant: v, Relay: report.SideResult{PerSec: float64(i)}})
	}
	for i, v := range []string{"at 5/s, 2 posters of batches at 10/s", "at 5/s, 2 posters of batches at 12/s"} {
		rs = append(rs, report.Result{Scenario: "batch-beside", Variant: v, Relay: report.SideResult{PerSec: float64(10 + i)}})
	}
	set := newSet(rs)
	if len(set.rs) != 3 || set.rs[2].Relay.PerSec != 11 || set.rs[0].Relay.PerSec != 1 || set.rs[1].Relay.PerSec != 3 {
		t.Errorf("set %+v", set.rs)
	}
}

// All that is drawn can be seen in both themes: contrast is at least 4.5 to 1 for
// text and 3 to 1 for marks.
func TestThemes_contrast(t *testing.T) {
	luminance := func(hex string) float64 {
		v, err := strconv.ParseUint(hex[1:], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			c := float64(v>>(16-8*i)&255) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			sum += weight * c
		}
		return sum
	}
	for _, th := range themes {
		f := func(colour string, want float64) {
			t.Helper()
			a, b := luminance(colour), luminance(th.back)
			if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < want {
				t.Errorf("%s: %s has %.1f to 1, want %.1f", th.name, colour, got, want)
			}
		}
		f(th.ink, 4.5)
		f(th.muted, 4.5)
		for _, c := range th.series {
			f(c, 3)
		}
		if len(th.series) != seriesFifth+1 {
			t.Errorf("%s has %d series", th.name, len(th.series))
		}
	}
}
