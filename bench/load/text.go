package load

import (
	"fmt"
	"time"
)

// Micros prints microseconds, in the unit that fits.
func Micros(us float64) string {
	d := time.Duration(us * float64(time.Microsecond))
	switch {
	case d < 0:
		return "-" + Micros(-us)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d >= 100*time.Microsecond:
		return d.Round(time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// Thousands prints a whole number with commas between thousands.
func Thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
