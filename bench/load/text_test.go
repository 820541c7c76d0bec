package load

import "testing"

func TestCount(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := Thousands(v); got != want {
			t.Errorf("count(%v) = %q, want %q", v, got, want)
		}
	}
	f(0, "0")
	f(999.4, "999")
	f(1000, "1,000")
	f(1234567, "1,234,567")
}
