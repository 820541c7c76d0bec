package soak

import (
	"math"
	"strings"
	"testing"
	"time"

	"cowrelay/bench/attack/books"
	"cowrelay/bench/load"
	"cowrelay/bench/report"
)

func TestFit(t *testing.T) {
	var ps []point
	for i := range 100 {
		ps = append(ps, point{float64(i) * 36, 10 + float64(i)*0.01 + []float64{1, -1}[i%2]})
	}
	l := fit(ps)
	if math.Abs(l.hour-1) > 0.1 || math.Abs(l.mean-10.495) > 0.01 || math.Abs(l.minute-59.4) > 0.01 || l.n != 100 {
		t.Errorf("line %+v", l)
	}
	if got := last(ps, time.Hour); len(got) != 75 || got[0].at != 900 {
		t.Errorf("%d points from %v on", len(got), got[0].at)
	}
	if l := fit(nil); l != (line{}) {
		t.Errorf("of nothing: %+v", l)
	}
	if l := fit(ps[:1]); l.hour != 0 {
		t.Errorf("of one: %+v", l)
	}
}

// recordOf is an hour, in which change makes something of a sample and of a reading
// by how much of the time has passed.
func recordOf(change func(part float64, s *Sample, b *Reading)) *Record {
	r := &Record{Setup: Setup{Time: time.Hour, Variant: "an hour"}, Load: &report.Result{Relay: report.SideResult{PerSec: 10}}}
	for i := 0; i <= 720; i++ {
		at := float64(i) * 5
		s := Sample{
			At: at, Group: 400 << 20, Own: 300 << 20, RSS: 320 << 20, Heap: 150 << 20, Go: 200 << 20, Counted: 100 << 20, Budget: 110 << 20,
			Kinds: map[string]int64{}, Goroutines: 2000, Descriptors: 2000, EventBytes: int64(at) << 20, Disk: int64(at) << 20, Log: 1 << 10,
		}
		b := Reading{At: at, Books: books.Books{Live: 110 << 20, Counted: 100 << 20, Rest: 5 << 20}}
		if change != nil {
			change(at/3600, &s, &b)
		}
		r.Samples = append(r.Samples, s)
		if i%36 == 0 {
			r.Readings = append(r.Readings, b)
		}
	}
	return r
}

func TestJudge(t *testing.T) {
	f := func(want string, change func(part float64, s *Sample, b *Reading)) {
		t.Helper()
		v := recordOf(change).Judge()
		if got := strings.Join(v.Failed(), "; "); got != want || v.OK != (want == "") {
			t.Errorf("what fails: %q, want %q\n%s", got, want, v)
		}
	}
	f("", nil)
	// What fills up in the first quarter is no growth, and less is none either.
	f("", func(part float64, s *Sample, _ *Reading) { s.RSS = int64(min(part, 0.25) * 1e9) })
	f("", func(part float64, s *Sample, _ *Reading) { s.RSS -= int64(part * 1e8) })
	f("resident memory is flat; memory outside Go's runtime is flat", func(part float64, s *Sample, _ *Reading) { s.RSS += int64(part * 20 * (1 << 20)) })
	f("live heap is flat", func(part float64, _ *Sample, b *Reading) { b.Store += int64(part * 9 * (1 << 20)) })
	f("goroutines are flat", func(part float64, s *Sample, _ *Reading) { s.Goroutines += int64(part * 150) })
	f("descriptors are flat", func(part float64, s *Sample, _ *Reading) { s.Descriptors += int64(part * 150) })
	f("the text log is flat", func(part float64, s *Sample, _ *Reading) { s.Log += int64(part * 2 * (1 << 20)) })
	f("the books agree", func(part float64, _ *Sample, b *Reading) {
		if part == 0.5 { // one of them is enough
			b.Live += 22 << 20
		}
	})
	f("counted memory is within the budget", func(_ float64, s *Sample, _ *Reading) { s.Budget = 99 << 20 })
	f("the disk follows the events", func(_ float64, s *Sample, _ *Reading) { s.Disk = 2*s.EventBytes + 257<<20 })

	v := recordOf(nil)
	v.Load = nil
	if got := v.Judge(); got.OK || !strings.Contains(got.String(), "FAILS  the load: it was cut off after 60.0 of 60.0 minutes") {
		t.Errorf("a run that was cut off: %s", got)
	}
	v.Load = &report.Result{Relay: report.SideResult{Errors: 3, FirstError: "no such thing"}}
	if got := v.Judge(); got.OK || !strings.Contains(got.String(), "3 wrong or missing, the first: no such thing") {
		t.Errorf("wrong answers: %s", got)
	}
	if got := (&Record{}).Judge(); got.OK {
		t.Errorf("nothing at all: %s", got)
	}
}

// Readings that scatter let a line rise by chance. That fails nothing, and a rise that
// stands out of the scatter does.
func TestJudge_scatter(t *testing.T) {
	for _, c := range []struct {
		grows float64 // MiB in the hour
		ok    bool
	}{{10, true}, {90, false}} {
		v := recordOf(func(part float64, s *Sample, _ *Reading) {
			// Up and down by 30 MiB in some minutes, as between collections.
			s.Go += int64((30*math.Sin(part*60) + c.grows*part) * (1 << 20))
			s.RSS = s.Go + 100<<20
		}).Judge()
		for _, b := range v.Bars {
			if b.Name == "memory of Go's runtime is flat" && b.OK != c.ok || b.Name == "memory outside Go's runtime is flat" && !b.OK {
				t.Errorf("%v MiB more: %v: %s", c.grows, b.OK, b.Text)
			}
		}
	}
}

// A short run is judged by what it grew itself, and not by what that would be in an
// hour.
func TestJudge_short(t *testing.T) {
	r := recordOf(func(part float64, s *Sample, b *Reading) {
		s.At, b.At = s.At/60, b.At/60
		s.RSS += int64(part * 10 * (1 << 20))
	})
	r.Setup.Time = time.Minute
	if v := r.Judge(); !v.OK {
		t.Error(v)
	}
}

func TestMinutes(t *testing.T) {
	m := &minutes{zero: time.Now()}
	m.posted(m.zero.Add(-time.Second), time.Millisecond)
	m.posted(m.zero.Add(150*time.Second), 5*time.Millisecond)
	var counts []int64
	for _, h := range m.of {
		counts = append(counts, h.Latency().Count)
	}
	if len(counts) != 3 || counts[0] != 1 || counts[1] != 0 || counts[2] != 1 {
		t.Errorf("posts by minute: %d", counts)
	}
	if l := m.of[2].Latency(); l.P99 < 4900 || l.P99 > 5100 {
		t.Errorf("latency %+v", load.Latency(l))
	}
}
