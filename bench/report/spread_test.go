package report

import "testing"

func TestSpread(t *testing.T) {
	f := func(v []float64, want Spread) {
		t.Helper()
		if got := SpreadOf(v); got != want {
			t.Errorf("spreadOf(%v) = %v, want %v", v, got, want)
		}
	}
	f(nil, Spread{})
	f([]float64{3}, Spread{3, 3, 3})
	f([]float64{3, 1, 2}, Spread{2, 1, 3})
	f([]float64{4, 1, 2, 3}, Spread{2.5, 1, 4})
}

func TestRatios_pairRounds(t *testing.T) {
	// The machine is half as fast after the first round. Each pair still says 0.5;
	// the medians of the sides would not.
	got := Ratios([]float64{100, 50, 50}, []float64{200, 100, 100})
	if got == nil || *got != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("ratios = %v", got)
	}
	if got := Ratios([]float64{1, 0}, []float64{0, 1}); got != nil {
		t.Errorf("ratios without a whole pair = %v, want none", got)
	}
	if got := Ratios([]float64{1}, nil); got != nil {
		t.Errorf("ratios without a bound = %v, want none", got)
	}
}
