package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A unit writes the values of a picture.
type unit func(v float64) string

// plain writes 1000 as 1k and 1e6 as 1M.
func plain(v float64) string {
	for _, u := range []struct {
		size   float64
		suffix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			return digits(v/u.size) + u.suffix
		}
	}
	return digits(v)
}

// percent writes 0.85 as 85 %.
func percent(v float64) string { return fmt.Sprintf("%.0f %%", v*100) }

// times writes 1.5 as 1.5×.
func times(v float64) string { return digits(v) + "×" }

// span writes microseconds.
func span(us float64) string {
	switch {
	case us >= 1e6:
		return digits(us/1e6) + " s"
	case us >= 1e3:
		return digits(us/1e3) + " ms"
	}
	return digits(us) + " µs"
}

// kilobytes writes bytes.
func kilobytes(v float64) string {
	switch {
	case v >= 1e6:
		return digits(v/1e6) + " MB"
	case v >= 1e3:
		return digits(v/1e3) + " KB"
	}
	return digits(v) + " B"
}

// digits writes three significant digits at most.
func digits(v float64) string {
	prec := 0
	if a := math.Abs(v); a < 9.995 {
		prec = 2
	} else if a < 99.95 {
		prec = 1
	}
	s := strconv.FormatFloat(v, 'f', prec, 64)
	if prec > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
