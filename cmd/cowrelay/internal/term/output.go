package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// output is a command's standard output. It remembers that it could not be
// written to, whoever of those who print did not look, so that no command says
// it is done when it has told nothing. A terminal gets no control characters:
// see appendShown.
//
// It may be used from several goroutines.
type output struct {
	w        io.Writer
	file     *os.File // w, if it is one
	terminal bool

	mu   sync.Mutex
	part []byte // of a character, whose rest comes with the next write; terminals only
	err  error  // the first
}

func NewOutput(w io.Writer) *output {
	o := &output{w: w, terminal: IsTerminal(w)}
	o.file, _ = w.(*os.File)
	return o
}

// Write fails for good with the first write that failed.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := p
	if o.terminal {
		all := append(o.part, p...)
		end := wholeRunes(all)
		text = appendShown(nil, all[:end])
		o.part = append([]byte(nil), all[end:]...)
	}
	if err := o.put(text); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (o *output) put(text []byte) error {
	if o.err == nil && len(text) > 0 {
		if _, err := o.w.Write(text); err != nil {
			o.err = fmt.Errorf("cannot write to standard output: %w", err)
		}
	}
	return o.err
}

// close writes what is left, closes the file, and returns the first error of
// all. Some file systems tell only then that there was no room.
func (o *output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(appendShown(nil, o.part))
	o.part = nil
	if o.file != nil && o.err == nil {
		if err := o.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			o.err = fmt.Errorf("cannot write to standard output: %w", err)
		}
	}
	return o.err
}

// wholeRunes returns how much of text is not the beginning of a character.
func wholeRunes(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if at := len(text) - back; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return at
			}
			break
		}
	}
	return len(text)
}

// appendShown appends text as a terminal may have it. What steers the terminal
// or the direction of writing, and is no line break or tab, becomes an escape
// \u00XX. In JSON such characters stand within strings, where the escape means
// the same; a bare carriage return is white space there, and becomes a blank.
func appendShown(to, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\r':
			to = append(to, ' ')
		case steers(r):
			to = fmt.Appendf(to, `\u%04x`, r)
		default:
			to = utf8.AppendRune(to, r) // a byte that is no character is U+FFFD
		}
		text = text[n:]
	}
	return to
}

func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r)
}

// shown is the text of an error or note, parts of which come from elsewhere, as
// people may see it.
func Shown(text string) string {
	if strings.IndexFunc(text, steers) < 0 && utf8.ValidString(text) {
		return text
	}
	return string(appendShown(nil, []byte(text)))
}

// fileOf returns the file behind an input or output, or nil.
func FileOf(w any) *os.File {
	switch w := w.(type) {
	case *os.File:
		return w
	case *output:
		return w.file
	}
	return nil
}

// printable makes text from elsewhere safe for a terminal and a table.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
