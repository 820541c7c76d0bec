package operate

import (
	"io"
	"os"
	"strings"

	"cowrelay/cmd/cowrelay/internal/term"

	xterm "golang.org/x/term"
)

// screen is a terminal that a program has to itself until close. It draws on the
// terminal's alternate screen, so that what was there before comes back.
type screen struct {
	out     *os.File
	in      *os.File     // nil: nobody can press a key
	old     *xterm.State // of in
	keys    chan byte    // what was pressed; closed when the terminal is gone
	colours bool         // NO_COLOR is not set
}

// openScreen takes the terminal over. out must be one; in gives keys if it is
// one too.
func openScreen(in io.Reader, out *os.File) (*screen, error) {
	s := &screen{out: out, keys: make(chan byte), colours: os.Getenv("NO_COLOR") == ""}
	if f, ok := in.(*os.File); ok && term.IsTerminal(f) {
		old, err := xterm.MakeRaw(int(f.Fd()))
		if err != nil {
			return nil, err
		}
		s.in, s.old = f, old
		// The goroutine ends with the process: a read of a terminal can't be called
		// off.
		go s.read()
	}
	// The alternate screen, without a cursor and without wrapping.
	_, err := out.WriteString("\x1b[?1049h\x1b[?25l\x1b[?7l")
	return s, err
}

// read reads keys, one byte each.
func (s *screen) read() {
	var b [1]byte
	for {
		if n, err := s.in.Read(b[:]); n == 0 || err != nil {
			close(s.keys)
			return
		}
		s.keys <- b[0]
	}
}

// size returns columns and rows.
func (s *screen) size() (width, height int) {
	width, height, err := xterm.GetSize(int(s.out.Fd()))
	if err != nil || width < 1 || height < 1 {
		return 80, 24
	}
	return width, height
}

// show replaces what is on the screen. It is one write, between the marks of a
// synchronized update (mode 2026), so that nothing flickers.
func (s *screen) show(lines []line) error {
	width, height := s.size()
	var b strings.Builder
	b.WriteString("\x1b[?2026h\x1b[H")
	for i, l := range lines[:min(len(lines), height)] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		l.render(&b, width, s.colours)
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	_, err := s.out.WriteString(b.String())
	return err
}

// close gives the terminal back as it was.
func (s *screen) close() {
	s.out.WriteString("\x1b[?7h\x1b[?25h\x1b[?1049l")
	if s.in != nil {
		xterm.Restore(int(s.in.Fd()), s.old)
	}
}
