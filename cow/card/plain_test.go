package card

import (
	"bytes"
	"cmp"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// samePlain fails if a document, or one with members left out, is printed in another
// way than the plain one, or refused by one of both ways only.
func samePlain(t *testing.T, doc []byte) {
	t.Helper()
	plain, plainErr := split(doc)
	var want []byte
	if plainErr == nil {
		want, plainErr = plain.canonical()
	}
	d, err := parse(doc)
	if (err == nil) != (plainErr == nil) {
		t.Fatalf("reading says %v, and the plain way %v\n%q", err, plainErr, doc)
	}
	if err != nil {
		return
	}
	defer d.free()
	if got := d.signed(); !bytes.Equal(got, want) {
		t.Fatalf("%q prints as\n%s, and in the plain way as\n%s", doc, got, want)
	}
	drop := []string{"signature", "public_key_id", "a"}
	want, _ = plain.canonical(drop...)
	if got := d.signed(drop...); !bytes.Equal(got, want) {
		t.Fatalf("%q without %s prints as\n%s, and in the plain way as\n%s", doc, drop, got, want)
	}
}

// Random documents of few keys, with escapes and repetitions, at any depth.
func TestCanonical_AsThePlainWay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "b", "signature", "é", "\uffee", "\U0001f98a", `\u0041`, `\u0000`, `\u001f`, `\n`, `\t`, `\"`, `\\`, `\/`, "\x7f", " ", "!", "#", "[", "]", "{", "}", ",", ":"}
	text := func() string {
		s := `"`
		for range r.IntN(3) {
			s += pieces[r.IntN(len(pieces))]
		}
		return s + `"`
	}
	space := func() string { return []string{"", "", "", " ", "\r\n\t"}[r.IntN(5)] }
	var value func(depth int) string
	object := func(depth int) string {
		s := "{" + space()
		for i := range r.IntN(6) {
			if i > 0 {
				s += ","
			}
			s += space() + text() + space() + ":" + value(depth-1)
		}
		return s + space() + "}"
	}
	value = func(depth int) string {
		if depth > 0 && r.IntN(3) > 0 {
			if r.IntN(3) > 0 {
				return object(depth)
			}
			return "[" + value(depth-1) + space() + "," + value(depth-1) + "]"
		}
		return space() + []string{text(), "1", "-0", "1e5", "true", "null", "[]", "{}"}[r.IntN(8)]
	}
	moved, docs := 0, 20_000
	if testing.Short() {
		docs = 3000 // the plain run takes more
	}
	for range docs {
		doc := []byte(object(1 + r.IntN(6)))
		samePlain(t, doc)
		d, err := parse(doc)
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		moved += len(d.moved)
		d.free()
	}
	if moved < docs/2 {
		t.Errorf("only %d objects had members to move", moved)
	}
}

// What follows prints the canonical form in the plainest way: each value is copied and
// read again. Tests hold the quick way against it.

// plainMember is one key of an object.
type plainMember struct {
	key   string
	value jsontext.Value
}

// plainObject is a JSON object split into its members, in the order in which they
// came. Of a repeated key the last one counts.
type plainObject []plainMember

// split takes a document apart that must be an object. The values are copies.
func split(doc []byte) (plainObject, error) {
	var o plainObject
	dec := newDecoder(doc)
	if kind := dec.PeekKind(); kind != '{' {
		if _, err := dec.ReadValue(); err != nil {
			return nil, errSyntax
		}
		return nil, errObject
	}
	dec.ReadToken()
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, errSyntax
		}
		key := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, errSyntax
		}
		o = append(o, plainMember{key, value.Clone()})
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, errSyntax
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errSyntax
	}
	return o, nil
}

func newDecoder(doc []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(doc), jsontext.AllowDuplicateNames(true))
}

// value returns the value of a key, or nil.
func (o plainObject) value(key string) jsontext.Value {
	for _, m := range slices.Backward(o) {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// canonical prints the object in canonical form, without the keys in drop.
func (o plainObject) canonical(drop ...string) ([]byte, error) {
	kept := make(plainObject, 0, len(o))
	for _, m := range o {
		if slices.Contains(drop, m.key) {
			continue
		}
		value, err := appendCanonical(nil, newDecoder(m.value), 1)
		if err != nil {
			return nil, err
		}
		kept = append(kept, plainMember{m.key, value})
	}
	return kept.append(nil), nil
}

// append prints an object whose values are in canonical form: keys in the order
// of their UTF-8 bytes, and of a repeated key the last.
func (o plainObject) append(dst []byte) []byte {
	slices.SortStableFunc(o, func(a, b plainMember) int { return cmp.Compare(a.key, b.key) })
	dst = append(dst, '{')
	begin := len(dst)
	for i, m := range o {
		if i+1 < len(o) && o[i+1].key == m.key {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = appendText(dst, m.key)
		dst = append(dst, ':')
		dst = append(dst, m.value...)
	}
	return append(dst, '}')
}

// appendText prints a string. Only the quote, the backslash and bytes below 0x20
// are escaped.
func appendText(dst []byte, text string) []byte {
	dst, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		panic("BUG: a string that was read is not valid UTF-8: " + err.Error())
	}
	return dst
}

// appendCanonical reads the next value and prints it in canonical form: no white
// space, keys sorted at every depth. depth is how many arrays and objects the
// value is in.
func appendCanonical(dst []byte, dec *jsontext.Decoder, depth int) ([]byte, error) {
	kind := dec.PeekKind()
	if (kind == '{' || kind == '[') && depth >= MaxDepth {
		return dst, errDepth
	}
	switch kind {
	case '{':
		return appendObject(dst, dec, depth)
	case '[':
		return appendArray(dst, dec, depth)
	}
	tok, err := dec.ReadToken()
	if err != nil {
		return dst, errSyntax
	}
	switch kind {
	case '0':
		return appendNumber(dst, tok.String())
	case '"':
		return appendText(dst, tok.String()), nil
	}
	return append(dst, tok.String()...), nil
}

func appendArray(dst []byte, dec *jsontext.Decoder, depth int) ([]byte, error) {
	dec.ReadToken()
	dst = append(dst, '[')
	var err error
	for i := 0; dec.PeekKind() != ']'; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendCanonical(dst, dec, depth+1); err != nil {
			return dst, err
		}
	}
	dec.ReadToken()
	return append(dst, ']'), nil
}

func appendObject(dst []byte, dec *jsontext.Decoder, depth int) ([]byte, error) {
	dec.ReadToken()
	var o plainObject
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return dst, errSyntax
		}
		key := name.String()
		value, err := appendCanonical(nil, dec, depth+1)
		if err != nil {
			return dst, err
		}
		o = append(o, plainMember{key, value})
	}
	if _, err := dec.ReadToken(); err != nil {
		return dst, errSyntax
	}
	return o.append(dst), nil
}
