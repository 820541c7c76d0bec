package bench

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
)

// plotResults are results of all that is drawn.
func plotResults() []Result {
	sample := func(perSec float64, p50 time.Duration) []Sample {
		var out []Sample
		for i := range 3 {
			s := sampleOf(perSec*float64(10+i)/11, 10, 0.7, p50*time.Duration(10+i)/11)
			out = append(out, s)
		}
		return out
	}
	var rs []Result
	add := func(name, variant string, p *Point, m metric) *Result {
		r := compare(scenario{name: name, variant: variant, unit: "requests"}, sample(900, 3*time.Millisecond), sample(1000, 2*time.Millisecond), m)
		r.Point = p
		r.Machine = Machine{Commit: "abc123", Go: "go1.99", CPU: "A & B <CPU>", Cores: 2, Kernel: "6.1", DataFS: "ext4", Date: "2026-01-02T03:04:05Z"}
		rs = append(rs, r)
		return &rs[len(rs)-1]
	}
	for _, s := range compared {
		add(s, "64 conns", nil, throughput)
	}
	for _, kind := range []string{"no pullers", "64 pullers that never rest", "64 pullers at 300/s"} {
		add("saturation", "16 posters at 800/s, "+kind, nil, tailP99)
	}
	for _, x := range []float64{1000, 10_000, 200_000} {
		add("growth", fmt.Sprint("post ", x), &Point{"post", "events", x}, medianP50)
		add("growth", fmt.Sprint("since ", x), &Point{"since", "events", x}, medianP50)
		add("growth", fmt.Sprint("slots ", x), &Point{"slots cold", "slots", x}, worst).BytesEach = 300
	}
	add("idle", "9 streams over 4 slots", nil, memoryEach)
	for i, s := range []*SideResult{&rs[len(rs)-1].Relay, rs[len(rs)-1].Bound} {
		s.Memory = &Memory{Each: 5000 - 1000*float64(i), Whole: 7000}
	}
	peer := add("idle", "9 streams over 4 slots", nil, memoryEach)
	peer.Peer, peer.Relay.Memory, peer.Bound.Memory = "nchan", &Memory{Each: 5100}, &Memory{Each: 9000, Whole: 9500}
	peer = add("post", "64 conns; relay: --sync off", nil, throughput)
	peer.Peer, peer.Promises = "nchan", "nothing, "+strings.Repeat("and again nothing ", 10)
	peer.Variant = "64 conns, the last 1000 of 3495 x 300 B; relay: --sync off"
	rs = append(rs, Result{Scenario: "peers", Peer: "nats", Skipped: "not installed"})
	for _, x := range []float64{1, 256} {
		add("growth", fmt.Sprint("streams ", x), &Point{"fanout", "streams", x}, throughput)
	}
	return rs
}

func TestPlot(t *testing.T) {
	dir := t.TempDir()
	files, err := Plot(dir, plotResults())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"ratios": {"connect: 64 conns", "90 %", "900 requests/s", "part of the bound's throughput", "bound"},
		"outage": {"no pullers", "64 pullers that never rest", "64 pullers at 300/s", "latency of posts", "ms", "relay", "bound"},
		"growth": {"post", "pull from a random place", "200k", "events in the slot", "3 ms"},
		"memory": {"relay", "5 KB", "bound", "4 KB", "nchan", "9 KB", "9.5 KB"},
		"nchan":  {"post: 64 conns, the last 1000 of 3495 x 300 B; relay: --sync off", "0.9×", "900 against 1k requests/s", "Nchan: nothing,"},
		"fanout": {"streams", "256", "90 %"},
		"slots":  {"200,000 slots", "300 B"},
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

// checkPicture returns the texts of a picture, which must be whole, and all
// within its edges.
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
	f := func(want []string, rs ...Result) {
		t.Helper()
		files, err := Plot(t.TempDir(), rs)
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
	poll := compare(scenario{name: "poll"}, []Sample{sampleOf(9, 1, 0.7, time.Millisecond)}, []Sample{sampleOf(10, 1, 0.7, time.Millisecond)}, throughput)
	f([]string{"ratios"}, poll)
	// Without a bound there is nothing to hold it against.
	poll.Bound, poll.Ratio = nil, nil
	f(nil, poll)
	f(nil)
	// One side alone, and a time of nothing at all.
	f([]string{"outage"}, compare(scenario{name: "saturation", variant: "x"}, []Sample{sampleOf(9, 1, 0.7, 0)}, nil, tailP99))
	// One point is a curve too.
	one := compare(scenario{name: "growth"}, []Sample{sampleOf(9, 1, 0.7, time.Millisecond)}, nil, medianP50)
	one.Point = &Point{"post", "events", 1000}
	f([]string{"growth"}, one)
}

// Nobody takes a picture of wrong answers for one of right ones.
func TestPlot_saysErrors(t *testing.T) {
	rs := plotResults()
	rs[0].Relay.Errors = 7
	set := newPlotSet(rs)
	if got := string(ratiosPicture(set).draw(themes[0])); !strings.Contains(got, "NOT VALID: 7 answers were wrong or missing") {
		t.Errorf("the picture does not tell of wrong answers:\n%s", got)
	}
	if got := string(outagePicture(set).draw(themes[0])); strings.Contains(got, "NOT VALID") {
		t.Errorf("the picture tells of the errors of other loads:\n%s", got)
	}
}

func TestPlotSet_lastOfALoadCounts(t *testing.T) {
	var rs []Result
	for i, v := range []string{"at 5/s, pullers at 10/s", "at 5/s, pullers at 12/s", "at 5/s, no pullers", "at 5/s, no pullers"} {
		rs = append(rs, Result{Scenario: "saturation", Variant: v, Relay: SideResult{PerSec: float64(i)}})
	}
	set := newPlotSet(rs)
	if len(set.rs) != 2 || set.rs[0].Relay.PerSec != 1 || set.rs[1].Relay.PerSec != 3 {
		t.Errorf("set %+v", set.rs)
	}
}

func TestAxis(t *testing.T) {
	f := func(values []float64, zero, log bool, want ...float64) {
		t.Helper()
		a := newAxis(values, zero, 0, 100)
		if a.log != log || !slices.EqualFunc(a.ticks, want, func(x, y float64) bool { return math.Abs(x-y) < 1e-9*max(1, y) }) {
			t.Errorf("axis of %v: log %v, ticks %v, want %v, %v", values, a.log, a.ticks, log, want)
		}
		for _, v := range values {
			if v < a.min || v > a.max {
				t.Errorf("axis of %v: from %v to %v", values, a.min, a.max)
			}
		}
	}
	f([]float64{0.9, 1}, true, false, 0, 0.2, 0.4, 0.6, 0.8, 1)
	f([]float64{3, 7}, false, false, 0, 2, 4, 6, 8)
	f([]float64{1, 500}, true, false, 0, 100, 200, 300, 400, 500)
	f([]float64{1, 90}, false, true, 1, 2, 5, 10, 20, 50, 100)
	f([]float64{150, 1.5e6}, false, true, 100, 1e3, 1e4, 1e5, 1e6)
	f([]float64{0}, false, false, 0, 0.2, 0.4, 0.6, 0.8, 1)

	a := newAxis([]float64{1, 100}, false, 0, 100)
	if a.at(10) != 50 || a.at(1) != 0 || a.at(100) != 100 {
		t.Errorf("places %v %v %v", a.at(1), a.at(10), a.at(100))
	}
}

func TestUnits(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(plain(999), "999")
	f(plain(200_000), "200k")
	f(plain(1_000_000), "1M")
	f(percent(0.854), "85 %")
	f(times(1.5), "1.5×")
	f(strings.Join(wrap("a bc def\ng", 4), "|"), "a bc|def|g")
	f(span(62), "62 µs")
	f(span(1234), "1.23 ms")
	f(span(2.5e6), "2.5 s")
	f(kilobytes(300), "300 B")
	f(kilobytes(5123), "5.12 KB")
}

// What is drawn can be told from the page in both themes: at least 4.5 to 1 for
// text, 3 to 1 for marks.
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

func TestReadResults(t *testing.T) {
	var b bytes.Buffer
	for _, r := range plotResults()[:2] {
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := ReadResults(strings.NewReader(b.String() + "\n"))
	if err != nil || len(rs) != 2 || rs[1].Scenario != "connect" || rs[1].Ratio == nil {
		t.Errorf("results %+v, error %v", rs, err)
	}
	for in, want := range map[string]string{
		b.String() + "poll: 1/s\n": "line 3 is no result",
		"{}\n":                     "line 1 is no result: it names no scenario",
	} {
		if _, err := ReadResults(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
