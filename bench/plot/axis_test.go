package plot

import (
	"math"
	"slices"
	"strings"
	"testing"
)

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
	if a.place(10) != 50 || a.place(1) != 0 || a.place(100) != 100 {
		t.Errorf("places %v %v %v", a.place(1), a.place(10), a.place(100))
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
