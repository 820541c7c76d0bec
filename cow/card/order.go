package card

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// key returns the key of a member as it is printed, without the quotes.
func (d *document) key(m member) []byte { return d.out[m.start+1 : m.colon-1] }

// compare orders members by the UTF-8 bytes of their keys.
func (d *document) compare(a, b member) int {
	if !a.escaped && !b.escaped {
		return bytes.Compare(d.key(a), d.key(b))
	}
	s, t := d.key(a), d.key(b)
	for len(s) > 0 && len(t) > 0 {
		var x, y byte
		x, s = nextByte(s)
		y, t = nextByte(t)
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(s), len(t))
}

// nextByte takes the first byte off a printed string. An escape is one byte: the
// canonical form has none for a larger character.
func nextByte(text []byte) (byte, []byte) {
	if text[0] != '\\' {
		return text[0], text[1:]
	}
	if text[1] == 'u' { // and four digits for a byte below 0x20
		c, _ := strconv.ParseUint(string(text[4:6]), 16, 8)
		return byte(c), text[6:]
	}
	if i := strings.IndexByte("btnfr", text[1]); i >= 0 {
		return "\b\t\n\f\r"[i], text[2:]
	}
	return text[1], text[2:]
}

// member returns the member of the document with a key that needs no escapes.
func (d *document) member(key string) (member, bool) {
	for _, m := range d.top {
		if string(d.key(m)) == key {
			return m, true
		}
	}
	return member{}, false
}

// value returns the value of a key as it is printed, with members where they stood in
// the input, or nil.
func (d *document) value(key string) []byte {
	if m, ok := d.member(key); ok {
		return d.out[m.colon+1 : m.end]
	}
	return nil
}

// source returns the value of a key as it stands in the input, or nil.
func (d *document) source(key string) []byte {
	if m, ok := d.member(key); ok {
		return bytes.TrimLeft(d.raw[m.rawKey:m.rawEnd:m.rawEnd], ": \t\r\n")
	}
	return nil
}

// signed returns what a signature is over: the document in canonical form, without
// the keys in drop. It holds until the next call.
func (d *document) signed(drop ...string) []byte {
	d.plain = d.appendObject(d.plain[:0], d.top, drop)
	return d.plain
}

func (d *document) appendObject(dst []byte, members []member, drop []string) []byte {
	dst = append(dst, '{')
	begin := len(dst)
	for _, m := range members {
		if len(drop) > 0 && slices.Contains(drop, string(d.key(m))) {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = d.appendPart(dst, m.start, m.end)
	}
	return append(dst, '}')
}

// appendPart appends what is printed from start to end, with the objects in it whose
// members must move.
func (d *document) appendPart(dst []byte, start, end int) []byte {
	for {
		i, _ := slices.BinarySearchFunc(d.moved, start, func(o moved, at int) int { return cmp.Compare(o.start, at) })
		if i == len(d.moved) || d.moved[i].start >= end {
			return append(dst, d.out[start:end]...)
		}
		o := d.moved[i]
		dst = append(dst, d.out[start:o.start]...)
		dst = d.appendObject(dst, d.kept[o.first:o.last], nil)
		start = o.end
	}
}
