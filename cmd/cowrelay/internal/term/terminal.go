// Package term is how commands speak to people and to pipes: an output that
// notices when it can't be written, text that can't steer a terminal, and progress
// bars.
//
// It knows no command.
package term

import (
	"os"

	"golang.org/x/term"
)

// IsTerminal says whether an input or output is a terminal, so that a person may
// be there.
func IsTerminal(w any) bool {
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
