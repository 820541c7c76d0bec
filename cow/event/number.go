package event

import (
	"bytes"
	"math"
	"strconv"
)

// finite reports whether parsers read a valid number as a finite float64: Go's,
// which rounds correctly, and serde_json without float_roundtrip, which does
// not and refuses what overflows on its way: 1797693134862315708e290, a long
// spelling of the largest float64, is infinite for it. (Each also covers the
// other: Go's reader loses count of exponents beyond 10,000 where as many
// digits make up for them.)
func finite(num []byte) bool {
	i := max(bytes.IndexByte(num, 'e'), bytes.IndexByte(num, 'E'))
	if i < 0 && len(num) < 309 {
		return true // below 1e308
	}
	if _, err := strconv.ParseFloat(string(num), 64); err != nil {
		return false
	}
	exp := 0
	if i >= 0 {
		exp, _ = strconv.Atoi(string(num[i+1:])) // what does not fit is clamped
		exp = min(max(exp, math.MinInt32), math.MaxInt32)
		num = num[:i]
	}
	// serde_json collects digits while they fit. Integer digits behind that
	// raise the exponent, fraction digits are dropped.
	var sig uint64
	full, fraction := false, 0
	for _, c := range num {
		switch d := uint64(c - '0'); {
		case c == '-':
		case c == '.':
			full, fraction = false, 1
		case !full && (sig < math.MaxUint64/10 || sig == math.MaxUint64/10 && d <= math.MaxUint64%10):
			sig = sig*10 + d
			exp -= fraction
		default:
			full = true
			exp += 1 - fraction
		}
	}
	if sig == 0 || exp <= 288 { // below 2^64 times 1e288
		return true
	}
	pow, err := strconv.ParseFloat("1e"+strconv.Itoa(exp), 64)
	return err == nil && !math.IsInf(float64(sig)*pow, 0)
}
