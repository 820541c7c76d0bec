package event

import (
	"bytes"
	"iter"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Members gives the members of an object, or the values of an array with a nil name,
// in their order and without what is nested in them. Names are unescaped; a repeated
// one comes as often as it is there. A value is a part of doc, as it stands there. A
// name is valid until the next one.
//
// It is for documents that were checked before: the sequence just ends where doc is
// no JSON, and is empty if doc is neither object nor array. It allocates nothing.
func Members(doc []byte) iter.Seq2[[]byte, jsontext.Value] {
	return func(yield func([]byte, jsontext.Value) bool) { members(doc, yield) }
}

// reader is what a sequence needs while it runs.
type reader struct {
	src  bytes.Buffer // what the library reads in place
	dec  *jsontext.Decoder
	text []byte // of a name with escapes
}

var readers = sync.Pool{New: func() any { return &reader{dec: new(jsontext.Decoder)} }}

// The options of the decoder, as a slice that is made once.
var readOptions = []jsontext.Options{decoderOptions}

func (r *reader) reset(doc []byte) {
	r.src = *bytes.NewBuffer(doc)
	r.dec.Reset(&r.src, readOptions...)
}

func members(doc []byte, yield func([]byte, jsontext.Value) bool) {
	r := readers.Get().(*reader)
	r.reset(doc)
	r.read(doc, yield)
	r.reset(nil) // or the pool would keep the document
	readers.Put(r)
}

func (r *reader) read(doc []byte, yield func([]byte, jsontext.Value) bool) {
	open, err := r.dec.ReadToken()
	kind := open.Kind()
	if err != nil || kind != '{' && kind != '[' {
		return
	}
	for {
		switch r.dec.PeekKind() {
		case '}', ']', 0:
			return
		}
		var name []byte
		if kind == '{' {
			raw, err := r.dec.ReadValue()
			if err != nil {
				return
			}
			if name = raw[1 : len(raw)-1]; bytes.IndexByte(name, '\\') >= 0 {
				if r.text, err = jsontext.AppendUnquote(r.text[:0], raw); err != nil {
					return
				}
				name = r.text
			}
		}
		value, err := r.dec.ReadValue()
		if err != nil {
			return
		}
		end := r.dec.InputOffset()
		if !yield(name, doc[end-int64(len(value)):end:end]) {
			return
		}
	}
}
