// Package human prints what people read: numbers of few digits, with their units.
package human

import (
	"math"
	"strconv"
	"time"
)

// Count prints a whole number with commas between thousands.
func Count(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// Bytes prints a size, given in bytes, with three digits or so.
func Bytes(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if v < 1000 {
			if unit == "B" {
				return strconv.FormatFloat(v, 'f', 0, 64) + " B"
			}
			return Digits(v) + " " + unit
		}
		v /= 1024
	}
	return Digits(v) + " TiB"
}

// Digits prints three significant digits without an exponent.
func Digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return Count(v)
	case a >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Rate prints a rate a second.
func Rate(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.005:
		return "<0.01"
	case v >= 9.995:
		return Count(v)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Took prints how many seconds something took. Negative is not known.
func Took(seconds float64) string {
	switch {
	case seconds < 0 || math.IsNaN(seconds):
		return "-"
	case seconds < 1e-3:
		return strconv.FormatFloat(seconds*1e6, 'f', 0, 64) + " µs"
	case seconds < 1:
		return Digits(seconds*1e3) + " ms"
	}
	return Digits(seconds) + " s"
}

// Age prints how long something lasts, by its two largest units.
func Age(d time.Duration) string {
	s := max(int64(d.Seconds()), 0)
	two := func(a int64, x string, b int64, y string) string {
		return strconv.FormatInt(a, 10) + x + strconv.FormatInt(b, 10) + y
	}
	switch {
	case s < 60:
		return strconv.FormatInt(s, 10) + "s"
	case s < 3600:
		return two(s/60, "m", s%60, "s")
	case s < 86400:
		return two(s/3600, "h", s%3600/60, "m")
	}
	return two(s/86400, "d", s%86400/3600, "h")
}
