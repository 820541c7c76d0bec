package card

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many arrays and objects of a document may be nested.
const MaxDepth = 126

var (
	errSyntax = errors.New("not JSON")
	errObject = errors.New("not an object")
	errDepth  = errors.New("nested too deep")
)

// document is a JSON object that was read once, from its first byte to its last.
// Reading prints each value in canonical form, but leaves members where they stand.
// Objects whose members must move are noted, and move when they are appended to a
// result. So each byte is copied at most twice, at any depth, and objects that are in
// order already cost no sorting.
//
// Documents come from parse and go back with free. One goroutine uses a document.
type document struct {
	in    bytes.Buffer
	dec   *jsontext.Decoder
	out   []byte   // printed, in the order of the input
	plain []byte   // what signed returned
	text  []byte   // scratch for one string
	open  []member // of the objects that are being read, the innermost last
	kept  []member // of the objects in moved and of the document itself
	moved []moved  // by start, once all is read
	top   []member // of the document itself: a part of kept
	raw   []byte   // the input
}

// member is one member of an object: where it is in document.out. The key with its
// quotes goes from start to colon, and the value from behind the colon to end. In the
// input the key ends at rawKey, and the value at rawEnd.
type member struct {
	start, colon, end int
	rawKey, rawEnd    int
	escaped           bool // the key has a backslash
}

// moved is an object whose members are not in order, or come twice: where it is in
// document.out, and in document.kept its members as they belong.
type moved struct{ start, end, first, last int }

// documents keeps buffers for the next document. Large ones are left to the garbage
// collector.
var documents = sync.Pool{New: func() any { return &document{dec: new(jsontext.Decoder)} }}

const (
	keepBytes   = 64 << 10 // of printed text
	keepMembers = 2 << 10
)

// The last of a repeated key counts, so it is no error.
var repeatedKeys = []jsontext.Options{jsontext.AllowDuplicateNames(true)}

// parse reads a document that must be an object.
func parse(doc []byte) (*document, error) {
	d := documents.Get().(*document)
	d.raw, d.in = doc, *bytes.NewBuffer(doc)
	d.dec.Reset(&d.in, repeatedKeys...)
	d.out, d.open, d.kept, d.moved = d.out[:0], d.open[:0], d.kept[:0], d.moved[:0]
	if err := d.read(); err != nil {
		d.free()
		return nil, err
	}
	return d, nil
}

// free gives the buffers back. Nothing that came out of the document may be used
// afterwards.
func (d *document) free() {
	d.raw, d.in = nil, bytes.Buffer{}
	d.dec.Reset(&d.in, repeatedKeys...) // holds the input no longer
	if max(cap(d.out), cap(d.plain), cap(d.text)) <= keepBytes && max(cap(d.open), cap(d.kept), cap(d.moved)) <= keepMembers {
		documents.Put(d)
	}
}

func (d *document) read() error {
	if d.dec.PeekKind() != '{' {
		if _, err := d.dec.ReadValue(); err != nil {
			return errSyntax
		}
		return errObject
	}
	if err := d.readObject(0); err != nil {
		return err
	}
	if _, err := d.dec.ReadToken(); err != io.EOF {
		return errSyntax
	}
	last := d.moved[len(d.moved)-1] // the document itself
	d.top, d.moved = d.kept[last.first:last.last], d.moved[:len(d.moved)-1]
	slices.SortFunc(d.moved, func(a, b moved) int { return cmp.Compare(a.start, b.start) })
	return nil
}

// readValue reads the next value and prints it. depth is how many arrays and objects it
// is in.
func (d *document) readValue(depth int) error {
	kind := d.dec.PeekKind()
	if kind == '{' || kind == '[' {
		if depth >= MaxDepth {
			return errDepth
		}
		if kind == '{' {
			return d.readObject(depth)
		}
		return d.readArray(depth)
	}
	raw, err := d.dec.ReadValue()
	if err != nil {
		return errSyntax
	}
	switch kind {
	case '"':
		d.printText(raw)
	case '0':
		d.out, err = appendNumber(d.out, string(raw))
	default:
		d.out = append(d.out, raw...)
	}
	return err
}

// printText prints a string. Only the quote, the backslash and bytes below 0x20 are
// escaped. So without a backslash it stays as it is. escaped says that it is printed
// with one.
func (d *document) printText(raw []byte) (escaped bool) {
	if bytes.IndexByte(raw, '\\') < 0 {
		d.out = append(d.out, raw...)
		return false
	}
	begin, err := len(d.out), error(nil)
	if d.text, err = jsontext.AppendUnquote(d.text[:0], raw); err == nil {
		d.out, err = jsontext.AppendQuote(d.out, d.text)
	}
	if err != nil {
		panic("BUG: a string that was read is not valid: " + err.Error())
	}
	return bytes.IndexByte(d.out[begin:], '\\') >= 0
}

func (d *document) readArray(depth int) error {
	d.dec.ReadToken()
	d.out = append(d.out, '[')
	begin := len(d.out)
	for d.dec.PeekKind() != ']' {
		if err := d.readValue(depth + 1); err != nil {
			return err
		}
		d.out = append(d.out, ',')
	}
	d.dec.ReadToken()
	d.close(begin, ']')
	return nil
}

// close ends an array or object whose members begin at begin and have a comma each.
func (d *document) close(begin int, with byte) {
	if len(d.out) > begin {
		d.out = d.out[:len(d.out)-1]
	}
	d.out = append(d.out, with)
}

func (d *document) readObject(depth int) error {
	d.dec.ReadToken()
	d.out = append(d.out, '{')
	begin, first, ordered := len(d.out), len(d.open), true
	for d.dec.PeekKind() == '"' {
		m := member{start: len(d.out)}
		name, err := d.dec.ReadValue()
		if err != nil {
			return errSyntax
		}
		m.escaped = d.printText(name)
		m.colon, m.rawKey = len(d.out), int(d.dec.InputOffset())
		d.out = append(d.out, ':')
		if err := d.readValue(depth + 1); err != nil {
			return err
		}
		m.end, m.rawEnd = len(d.out), int(d.dec.InputOffset())
		d.out = append(d.out, ',')
		ordered = ordered && (len(d.open) == first || d.compare(d.open[len(d.open)-1], m) < 0)
		d.open = append(d.open, m)
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return errSyntax
	}
	d.close(begin, '}')
	if !ordered || depth == 0 {
		d.keep(begin-1, d.open[first:], ordered)
	}
	d.open = d.open[:first]
	return nil
}

// keep notes an object, which goes from start to what is printed last, with its
// members: in order, and of a repeated key the last.
func (d *document) keep(start int, members []member, ordered bool) {
	if !ordered {
		slices.SortFunc(members, func(a, b member) int {
			return cmp.Or(d.compare(a, b), cmp.Compare(a.start, b.start))
		})
	}
	first := len(d.kept)
	for i, m := range members {
		if i+1 == len(members) || d.compare(m, members[i+1]) != 0 {
			d.kept = append(d.kept, m)
		}
	}
	d.moved = append(d.moved, moved{start, len(d.out), first, len(d.kept)})
}
