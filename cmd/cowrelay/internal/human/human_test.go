package human

import (
	"math"
	"testing"
	"time"
)

func TestHuman(t *testing.T) {
	for got, want := range map[string]string{
		Count(0): "0", Count(999): "999", Count(1234567.4): "1,234,567", Count(-1234): "-1,234",
		Bytes(0): "0 B", Bytes(999): "999 B", Bytes(1024): "1.00 KiB", Bytes(15 << 20): "15.0 MiB", Bytes(1 << 50): "1,024 TiB",
		Rate(0): "0", Rate(.001): "<0.01", Rate(3.14159): "3.14", Rate(9.999): "10", Rate(12345.6): "12,346",
		Took(math.NaN()): "-", Took(0.000123): "123 µs", Took(.0123): "12.3 ms", Took(1.5): "1.50 s",
		Age(59 * time.Second): "59s", Age(61 * time.Second): "1m1s", Age(25 * time.Hour): "1d1h", Age(-time.Second): "0s", Age(3700 * time.Second): "1h1m",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
