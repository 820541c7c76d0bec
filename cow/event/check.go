package event

import "github.com/go-json-experiment/json/jsontext"

// Check refuses with ErrSyntax what a parser in use may refuse: the first list of
// Accept, but for the repeated keys of an event. It is for documents that are
// handed on to other clients. doc may be any JSON value.
func Check(doc []byte) error { return CheckMembers(doc, nil, nil) }

// CheckMembers is Check that also finds some members of an object. In the same pass it
// sets values[i] to the value of keys[i] as it stands in doc: of the last member with
// this key, and nil if there is none. On error the values are nil. There may be
// MaxKeys keys.
func CheckMembers(doc []byte, keys []string, values []jsontext.Value) error {
	clear(values)
	a := acceptors.Get().(*acceptor)
	a.reset(nil, doc)
	a.top = top{keys: keys, at: -1}
	a.walk.plain, a.walk.top = true, &a.top
	fault := a.accept()
	for i := range keys {
		if s := a.top.found[i]; fault == nil && s.end > 0 {
			values[i] = doc[s.begin:s.end:s.end]
		}
	}
	a.top = top{}
	a.reset(nil, nil)
	acceptors.Put(a)
	if fault != nil {
		return fault
	}
	return nil
}

// MaxKeys is how many keys CheckMembers looks for at most.
const MaxKeys = 8

// top is what CheckMembers looks for at the top of a document.
type top struct {
	keys  []string
	found [MaxKeys]span // by key
	at    int           // whose value comes next or is being read; -1: none that counts
	begin int           // where this value begins, if it is an object or array
}

type span struct{ begin, end int }

// key takes a key of the document.
func (t *top) key(name []byte) {
	for i, key := range t.keys {
		if key == string(name) {
			t.at = i
			return
		}
	}
}

// value takes a token that is not a key. depth is the depth before it.
func (t *top) value(kind jsontext.Kind, depth, start, end int) {
	if t.at < 0 {
		return
	}
	isEnd := kind == '}' || kind == ']'
	switch {
	case depth == 1 && (kind == '{' || kind == '['):
		t.begin = start
	case depth == 1:
		t.found[t.at], t.at = span{start, end}, -1
	case depth == 2 && isEnd:
		t.found[t.at], t.at = span{t.begin, end}, -1
	}
}
