package card

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many arrays and objects of a document may be nested.
const MaxDepth = 126

var (
	errSyntax = errors.New("not JSON")
	errObject = errors.New("not an object")
	errDepth  = errors.New("nested too deep")
)

// member is one key of an object.
type member struct {
	key   string
	value jsontext.Value
}

// object is a JSON object split into its members, in the order in which they
// came. Of a repeated key the last one counts.
type object []member

// split takes a document apart that must be an object. The values are copies.
func split(doc []byte) (object, error) {
	var o object
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
		o = append(o, member{key, value.Clone()})
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
func (o object) value(key string) jsontext.Value {
	for _, m := range slices.Backward(o) {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// text returns the value of a key if it is a string.
func (o object) text(key string) (string, bool) {
	v := o.value(key)
	if v.Kind() != '"' {
		return "", false
	}
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err == nil
}

// canonical prints the object in canonical form, without the keys in drop.
func (o object) canonical(drop ...string) ([]byte, error) {
	kept := make(object, 0, len(o))
	for _, m := range o {
		if slices.Contains(drop, m.key) {
			continue
		}
		value, err := appendCanonical(nil, newDecoder(m.value), 1)
		if err != nil {
			return nil, err
		}
		kept = append(kept, member{m.key, value})
	}
	return kept.append(nil), nil
}

// append prints an object whose values are in canonical form: keys in the order
// of their UTF-8 bytes, and of a repeated key the last.
func (o object) append(dst []byte) []byte {
	slices.SortStableFunc(o, func(a, b member) int { return cmp.Compare(a.key, b.key) })
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
	var o object
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
		o = append(o, member{key, value})
	}
	if _, err := dec.ReadToken(); err != nil {
		return dst, errSyntax
	}
	return o.append(dst), nil
}
