package card

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
)

var errRange = errors.New("not readable: a number is out of range")

// appendNumber prints a JSON number in canonical form. Integers from -2^63 to
// 2^64-1 print as they are. All others, and -0, are floats.
func appendNumber(dst []byte, raw string) ([]byte, error) {
	if !strings.ContainsAny(raw, ".eE") && fitsInteger(raw) {
		return append(dst, raw...), nil
	}
	f, err := readFloat(raw)
	if err != nil {
		return dst, err
	}
	return appendFloat(dst, f), nil
}

func fitsInteger(raw string) bool {
	if raw == "-0" {
		return false
	}
	_, signed := strconv.ParseInt(raw, 10, 64)
	_, unsigned := strconv.ParseUint(raw, 10, 64)
	return signed == nil || unsigned == nil
}

// readFloat reads a number as serde_json does without its feature
// float_roundtrip, which is how existing agents were built. The result may be
// one or two units in the last place away from the nearest float, and a
// signature depends on those units. So strconv.ParseFloat can't be used.
func readFloat(raw string) (float64, error) {
	digits, exponent := raw, ""
	if i := strings.IndexAny(raw, "eE"); i >= 0 {
		digits, exponent = raw[:i], raw[i+1:]
	}
	sig, exp := readDigits(digits)
	step, large := readExponent(exponent)
	switch {
	case large && sig != 0 && step > 0:
		return 0, errRange
	case large:
		sig, exp = 0, 0
	default:
		exp += step
	}
	f, err := scale(float64(sig), exp)
	if raw[0] == '-' {
		f = -f
	}
	return f, err
}

// readDigits collects digits while they fit into 64 bits. An integer digit
// behind that raises the exponent, and a fraction digit behind that is dropped.
func readDigits(digits string) (sig uint64, exp int) {
	const most = math.MaxUint64 / 10
	full, fraction := false, 0
	for _, c := range []byte(digits) {
		switch d := uint64(c - '0'); {
		case c == '-':
		case c == '.':
			full, fraction = false, 1
		case !full && (sig < most || sig == most && d <= math.MaxUint64%10):
			sig = sig*10 + d
			exp -= fraction
		default:
			full = true
			exp += 1 - fraction
		}
	}
	return sig, exp
}

// readExponent reads what stands behind the e. large says that it has more than
// 31 bits; step then has its sign alone.
func readExponent(text string) (step int, large bool) {
	sign := 1
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	for _, c := range []byte(text) {
		if step = step*10 + int(c-'0'); step > math.MaxInt32 {
			return sign, true
		}
	}
	return sign * step, false
}

// scale returns f times ten to the power of exp, in one step as long as a power
// of ten can be a float, and for smaller results in steps of 1e308.
func scale(f float64, exp int) (float64, error) {
	for f != 0 && exp < -maxPower {
		f /= 1e308
		exp += maxPower
	}
	switch {
	case f == 0:
		return 0, nil
	case exp > maxPower:
		return 0, errRange
	case exp < 0:
		return f / powers[-exp], nil
	}
	if f *= powers[exp]; math.IsInf(f, 0) {
		return 0, errRange
	}
	return f, nil
}

const maxPower = 308

// powers are the floats nearest to the powers of ten. math.Pow10 is not the
// nearest for 78 of them.
var powers = func() (p [maxPower + 1]float64) {
	for i := range p {
		p[i], _ = strconv.ParseFloat("1e"+strconv.Itoa(i), 64)
	}
	return p
}()

// appendFloat prints the shortest digits that read back as f: plain if the
// decimal exponent is -5 to 15, else with an exponent that has a sign. A float
// always has a point or an exponent, so that it can't be taken for an integer.
func appendFloat(dst []byte, f float64) []byte {
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	e := at + bytes.IndexByte(dst[at:], 'e')
	exp, _ := strconv.Atoi(string(dst[e+1:]))
	if exp < -5 || exp > 15 {
		// Go prints the sign and two digits at least. Here there are as many as needed.
		sign := dst[e+1]
		return strconv.AppendInt(append(dst[:e+1], sign), int64(max(exp, -exp)), 10)
	}
	dst = strconv.AppendFloat(dst[:at], f, 'f', -1, 64)
	if bytes.IndexByte(dst[at:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
