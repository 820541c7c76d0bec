package use

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxInput is the most bytes of one event with its white space: a relay takes
// no larger body.
const maxInput = 2 << 20

// postItem is one event of the input, with the lines that it stands on; or lines
// that are no event, with the error that says why.
type postItem struct {
	event       []byte // nil if err is set
	first, last int    // lines, counted from 1; of the command line: arguments
	err         error
}

// where names the lines for people.
func (it postItem) where() string {
	if it.first == it.last {
		return fmt.Sprintf("line %d", it.first)
	}
	return fmt.Sprintf("lines %d to %d", it.first, it.last)
}

// postInput reads events from text: JSON objects, one or more a line, or one over
// several lines. Text that is no object is an item with an error, and reading goes
// on behind it. If an object is not finished, reading goes on at the next line that
// begins with a brace: an object within another one is indented. Only blank lines
// are passed over.
//
//	line ─▶ value: does it begin with {, and where does the object end?
//	          │ good: one item for each object of the lines
//	          │ bad:  one item with an error; lines from the next brace on
//	          ▼       go back into ahead
//	        ready ─▶ next
type postInput struct {
	r     *bufio.Reader
	line  int         // the last one that was read
	ahead []inputLine // read already, and to be looked at again
	ready []postItem  // items that next returns before it reads on
}

// inputLine is one line without its end.
type inputLine struct {
	text   []byte
	number int
	long   bool // longer than maxInput: text is only its beginning
}

func newPostInput(r io.Reader) *postInput { return &postInput{r: bufio.NewReaderSize(r, 256<<10)} }

// next returns the next item. Its event is the caller's. io.EOF is the end; any
// other error is one of reading.
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

// view is next without a copy: the event lasts until the next call. It looks at most
// lines only so far as to see that they hold one object. Whether that is JSON is left
// to the relay.
func (in *postInput) view() (postItem, error) {
	for len(in.ready) == 0 && len(in.ahead) == 0 {
		line, ok := in.peek()
		if !ok {
			break
		}
		text := bytes.Trim(line, " \t\r") // white space of JSON, and no other
		if len(text) > 0 && !isObject(text) {
			break
		}
		in.r.Discard(len(line) + 1)
		if in.line++; len(text) > 0 {
			return postItem{event: text, first: in.line, last: in.line}, nil
		}
	}
	return in.next()
}

// peek returns the next line without reading it, if the buffer can hold it.
func (in *postInput) peek() ([]byte, bool) {
	for seen := 0; ; {
		buf, _ := in.r.Peek(in.r.Buffered())
		if n := bytes.IndexByte(buf[seen:], '\n'); n >= 0 {
			return buf[:seen+n], true
		}
		seen = len(buf)
		if _, err := in.r.Peek(seen + 1); err != nil { // it waits for one more byte
			return nil, false
		}
	}
}

// isObject says whether text begins with a brace and ends with the one that closes it.
func isObject(text []byte) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for escaped := true; escaped; {
				n := bytes.IndexByte(text[i+1:], '"')
				if n < 0 {
					return false
				}
				i += n + 1
				escaped = false
				for k := i - 1; text[k] == '\\'; k-- {
					escaped = !escaped
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return text[0] == '{' && i == len(text)-1
			}
		}
		if depth == 0 {
			return false // it does not begin with a bracket
		}
	}
	return false
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

// value reads the objects that begin at a line.
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

// good makes an item of each object in the text of the lines.
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

// bad makes one item with an error of the lines up to the next that begins with a
// brace. From that one on they are looked at again.
func (in *postInput) bad(lines []inputLine, err error) {
	n := 1
	for n < len(lines) && !bytes.HasPrefix(lines[n].text, []byte{'{'}) {
		n++
	}
	in.ready = append(in.ready, postItem{first: lines[0].number, last: lines[n-1].number, err: err})
	in.ahead = append(lines[n:len(lines):len(lines)], in.ahead...)
}

// nesting counts the braces and brackets that are open, of text that may not be
// JSON: it is only to find where an object ends.
type nesting struct {
	depth    int
	inString bool
}

// scan goes through one line.
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
