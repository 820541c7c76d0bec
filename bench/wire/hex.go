package wire

const hexLower = "0123456789abcdef"

// PutHex writes n as 16 hex digits to the start of b.
func PutHex(b []byte, n uint64) {
	_ = b[CounterDigits-1]
	for i := CounterDigits - 1; i >= 0; i-- {
		b[i] = hexLower[n&15]
		n >>= 4
	}
}

// hexValue holds the value of each lowercase hex digit and 0xff elsewhere.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(hexLower) {
		t[hexLower[i]] = byte(i)
	}
	return t
}()

// ParseHex reads 16 lowercase hex digits.
func ParseHex(b []byte) (n uint64, ok bool) {
	if len(b) != CounterDigits {
		return 0, false
	}
	for _, c := range b {
		v := hexValue[c]
		if v == 0xff {
			return 0, false
		}
		n = n<<4 | uint64(v)
	}
	return n, true
}
