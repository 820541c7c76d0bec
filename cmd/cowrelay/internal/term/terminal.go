// Package term is how commands speak to people and to pipes: an output that
// notices when it can't be written, text that can't steer a terminal, and progress
// bars.
//
// It knows no command.
package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IsTerminal says whether a person may be looking at w.
func IsTerminal(w io.Writer) bool {
	f := FileOf(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// FileOf returns the file behind an input or output, or nil.
func FileOf(w any) *os.File {
	switch w := w.(type) {
	case *os.File:
		return w
	case *Output:
		return w.file
	}
	return nil
}
