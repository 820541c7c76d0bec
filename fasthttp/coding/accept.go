package coding

import (
	"bytes"
	"errors"
	"strings"
)

// Coding is a content coding.
type Coding uint8

// The codings. Identity is none.
const (
	Identity Coding = iota
	Gzip
	Zstd
	codings
)

var names = [codings]string{"identity", "gzip", "zstd"}

// String returns the name that stands in headers.
func (c Coding) String() string { return names[c] }

// Set is the codings that a relay offers. The zero Set offers none.
type Set uint8

func (s Set) has(c Coding) bool { return s&(1<<c) != 0 }

// ParseSet reads off, or codings with commas between them.
func ParseSet(text string) (s Set, err error) {
	if text == "off" {
		return 0, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		switch strings.TrimSpace(name) {
		case names[Gzip]:
			s |= 1 << Gzip
		case names[Zstd]:
			s |= 1 << Zstd
		default:
			return 0, errors.New("it is off, gzip, zstd, or gzip,zstd")
		}
	}
	return s, nil
}

// Choice is the coding that a request asks for. Must says that it refuses a reply
// without one.
type Choice struct {
	Coding Coding
	Must   bool
}

// unset is the weight of what a header does not name. Others are thousandths.
const unset = -1

// Choose reads the Accept-Encoding headers of a request. Of codings that are equally
// welcome it takes gzip, whose pieces are used again in more pages. "*" alone stands for gzip, which every client
// knows. A coding whose weight can't be read is not welcome.
func (s Set) Choose(headers [][]byte) Choice {
	weight, star := [codings]int{unset, unset, unset}, unset
	for _, list := range headers {
		for item := range bytes.SplitSeq(list, []byte{','}) {
			name, params, _ := bytes.Cut(item, []byte{';'})
			at := &star
			switch name = bytes.TrimSpace(name); {
			case is(name, "gzip"), is(name, "x-gzip"):
				at = &weight[Gzip]
			case is(name, "zstd"):
				at = &weight[Zstd]
			case is(name, "identity"):
				at = &weight[Identity]
			case !is(name, "*"):
				continue
			}
			*at = weightOf(params)
		}
	}
	if weight[Gzip] == unset {
		weight[Gzip] = star
	}
	best := Identity
	for _, c := range [...]Coding{Gzip, Zstd} {
		if s.has(c) && weight[c] > 0 && (best == Identity || weight[c] > weight[best]) {
			best = c
		}
	}
	if best == Identity || weight[Identity] > weight[best] {
		return Choice{}
	}
	return Choice{best, weight[Identity] == 0 || weight[Identity] == unset && star == 0}
}

// Compressed says whether a Content-Encoding header names a coding that compresses. A text
// that nobody knows is passed over: its bodies are plain, or no JSON.
func Compressed(header []byte) bool {
	if len(header) == 0 {
		return false
	}
	for name := range bytes.SplitSeq(header, []byte{','}) {
		name = bytes.TrimSpace(name)
		for _, coding := range compressing {
			if is(name, coding) {
				return true
			}
		}
	}
	return false
}

// compressing are the codings that IANA lists and that compress.
var compressing = [...]string{"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi", "pack200-gzip"}

func is(name []byte, want string) bool {
	return len(name) == len(want) && bytes.EqualFold(name, []byte(want))
}

// weightOf reads the weight of a coding in thousandths: 1000 if there is none, 0 if it
// can't be read (RFC 9110, section 12.4.2).
func weightOf(params []byte) int {
	for param := range bytes.SplitSeq(params, []byte{';'}) {
		key, value, _ := bytes.Cut(param, []byte{'='})
		if !is(bytes.TrimSpace(key), "q") {
			continue
		}
		value = bytes.TrimSpace(value)
		if len(value) == 0 || len(value) > len("0.000") || value[0] > '1' || len(value) > 1 && value[1] != '.' {
			return 0
		}
		n := 0
		for i := range len("0.000") {
			switch {
			case i == 1:
			case i >= len(value):
				n *= 10
			case value[i] < '0' || value[i] > '9':
				return 0
			default:
				n = n*10 + int(value[i]-'0')
			}
		}
		return min(n, 1000)
	}
	return 1000
}
