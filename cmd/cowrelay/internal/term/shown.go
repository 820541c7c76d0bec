package term

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Shown is the text of an error or a note as people may see it. Parts of such a
// text come from elsewhere: from a relay, a file, an event.
func Shown(text string) string {
	if strings.IndexFunc(text, steers) < 0 && utf8.ValidString(text) {
		return text
	}
	return string(appendShown(nil, []byte(text)))
}

// Printable makes text from elsewhere safe for a terminal and a table: one line
// of characters that can be seen. What can't is shown as U+FFFD.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// appendShown appends text as a terminal may have it. A character that steers the
// terminal, or the direction of writing, becomes an escape \u00XX; line breaks and
// tabs stay. In JSON such characters stand within strings only, where the escape
// means the same. A bare carriage return is white space there, and becomes a
// blank.
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

// wholeRunes returns the length of text without the character at its end that is
// not complete yet, if there is one.
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
