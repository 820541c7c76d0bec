package operate

import "strings"

// style is how text looks: the parameters of a terminal's SGR sequence.
type style string

const (
	plain   style = ""
	faint   style = "2"
	bold    style = "1"
	bar     style = "7"
	warning style = "1;33"
	alarm   style = "1;31"
)

// span is text in one style. Each of its characters takes one column.
type span struct {
	style style
	text  string
}

// line is one line of the screen.
type line []span

// text is the line without styles, as a pipe gets it.
func (l line) text() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// width is how many columns a line takes.
func (l line) width() (n int) {
	for _, s := range l {
		n += len([]rune(s.text))
	}
	return n
}

// render writes as much of the line as fits into so many columns.
func (l line) render(b *strings.Builder, width int, colours bool) {
	for _, s := range l {
		runes := []rune(s.text)
		runes = runes[:min(len(runes), width)]
		width -= len(runes)
		if s.style == plain || !colours && s.style != bar {
			b.WriteString(string(runes))
			continue
		}
		b.WriteString("\x1b[" + string(s.style) + "m" + string(runes) + "\x1b[m")
	}
}
