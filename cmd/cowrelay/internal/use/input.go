package use

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	relayclient "cowrelay/fasthttp/client"

	"github.com/go-json-experiment/json/jsontext"
)

// maxInput is the most bytes of one event with its white space: a relay takes
// no larger body.
const maxInput = 2 << 20

// postItem is one event of the input, or what is none, with the lines that it
// stands on.
type postItem struct {
	event       []byte
	first, last int
	err         error
}

// where names the lines.
func (it postItem) where() string {
	if it.first == it.last {
		return fmt.Sprintf("line %d", it.first)
	}
	return fmt.Sprintf("lines %d to %d", it.first, it.last)
}

// postInput reads events from text: JSON objects, one or more a line, or one
// over several lines. What is no object is an item with an error, and reading
// goes on behind it: at the next line that begins with a brace, if an object
// that began before is not finished, because an object within another one is
// indented. Only blank lines are passed over.
type postInput struct {
	r     *bufio.Reader
	line  int         // the last one that was read
	ahead []inputLine // read already, and to be looked at again
	ready []postItem
}

type inputLine struct {
	text   []byte
	number int
	long   bool // text is its beginning
}

func newPostInput(r io.Reader) *postInput { return &postInput{r: bufio.NewReaderSize(r, 256<<10)} }

// next returns the next item. Its event stays as it is. io.EOF is the end; any
// other error is of reading.
func (in *postInput) next() (postItem, error) {
	for {
		if len(in.ready) > 0 {
			it := in.ready[0]
			in.ready = in.ready[1:]
			return it, nil
		}
		l, err := in.read()
		if err != nil {
			return postItem{}, err
		}
		if len(bytes.TrimSpace(l.text)) > 0 {
			if err := in.value(l); err != nil {
				return postItem{}, err
			}
		}
	}
}

// read returns the next line, without its end.
func (in *postInput) read() (inputLine, error) {
	if len(in.ahead) > 0 {
		l := in.ahead[0]
		in.ahead = in.ahead[1:]
		return l, nil
	}
	var l inputLine
	for {
		part, err := in.r.ReadSlice('\n')
		if len(l.text)+len(part) > maxInput {
			l.long = true
		} else {
			l.text = append(l.text, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(l.text) == 0 && !l.long:
			return l, io.EOF
		case err != nil && err != io.EOF:
			return l, err
		}
		in.line++
		l.number = in.line
		l.text = bytes.TrimSuffix(l.text, []byte{'\n'})
		return l, nil
	}
}

var (
	errNoObject  = errors.New("an event is a JSON object: it begins with {")
	errLong      = fmt.Errorf("longer than %d bytes", maxInput)
	errCutObject = errors.New("the object is not finished")
	errCutString = errors.New("a string is not finished")
)

// value reads what begins at a line.
func (in *postInput) value(l inputLine) error {
	lines := []inputLine{l}
	switch {
	case l.long:
		in.bad(lines, errLong)
		return nil
	case bytes.TrimSpace(l.text)[0] != '{':
		in.bad(lines, errNoObject)
		return nil
	}
	var n nesting
	for text := l.text; ; {
		switch n.scan(lines[len(lines)-1].text); {
		case n.inString:
			in.bad(lines, errCutString)
			return nil
		case n.depth <= 0:
			in.good(lines, text)
			return nil
		}
		more, err := in.read()
		switch {
		case err == io.EOF:
			in.bad(lines, errCutObject)
			return nil
		case err != nil:
			return err
		case more.long || len(text)+len(more.text) > maxInput:
			in.bad(append(lines, more), errLong)
			return nil
		}
		if lines = append(lines, more); bytes.HasPrefix(more.text, []byte{'{'}) {
			in.bad(lines, errCutObject)
			return nil
		}
		text = append(append(text[:len(text):len(text)], '\n'), more.text...)
	}
}

// good makes items of the objects in the text.
func (in *postInput) good(lines []inputLine, text []byte) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true))
	var list []postItem
	for {
		v, err := dec.ReadValue()
		if err == io.EOF {
			in.ready = append(in.ready, list...)
			return
		}
		if err == nil && v.Kind() != '{' {
			err = errNoObject
		}
		if err != nil {
			in.bad(lines, err)
			return
		}
		end := int(dec.InputOffset())
		list = append(list, postItem{event: text[end-len(v) : end : end], first: lines[0].number, last: lines[len(lines)-1].number})
	}
}

// bad makes an item with an error of the lines, up to the first further one
// that begins with a brace: from there on they are looked at again.
func (in *postInput) bad(lines []inputLine, err error) {
	n := 1
	for n < len(lines) && !bytes.HasPrefix(lines[n].text, []byte{'{'}) {
		n++
	}
	in.ready = append(in.ready, postItem{first: lines[0].number, last: lines[n-1].number, err: err})
	in.ahead = append(lines[n:len(lines):len(lines)], in.ahead...)
}

// nesting counts braces and brackets that are open.
type nesting struct {
	depth    int
	inString bool
}

func (n *nesting) scan(line []byte) {
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			n.inString = !n.inString
		case n.inString:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			n.depth++
		case c == '}' || c == ']':
			n.depth--
		}
	}
}

var errHasID = errors.New("it has an event_id already")

// withID returns the event, an object, with an id in front.
func withID(event []byte, id string) ([]byte, error) {
	if has, err := hasEventID(event); has || err != nil {
		return nil, errors.Join(err, errHasID)
	}
	quoted, err := jsontext.AppendQuote(nil, id)
	if err != nil {
		return nil, err
	}
	rest := bytes.TrimSpace(bytes.TrimSpace(event)[1:])
	out := append([]byte(`{"event_id":`), quoted...)
	if rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, rest...), nil
}

// hasEventID says whether the object has the member at all: another type than a
// string is no id for the relay, but a second one would be refused.
func hasEventID(event []byte) (bool, error) {
	if relayclient.EventID(event) != "" {
		return true, nil
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(event), jsontext.AllowDuplicateNames(true))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return false, errNoObject
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false, err
		}
		if name.String() == "event_id" {
			return true, nil
		}
		if err := dec.SkipValue(); err != nil {
			return false, err
		}
	}
	_, err := dec.ReadToken()
	return false, err
}
