package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Output is a command's standard output. It remembers the first write that
// failed, even if the code that printed did not look, so that no command says it
// is done when nothing was written. On a terminal it replaces control characters:
// see appendShown.
//
// NewOutput makes it. It may be used from several goroutines.
type Output struct {
	w        io.Writer
	file     *os.File // w, if it is one
	terminal bool

	mu   sync.Mutex
	part []byte // guarded by mu; the beginning of a character whose rest comes with the next write; terminals only
	err  error  // guarded by mu; the first
}

// NewOutput returns an output to w.
func NewOutput(w io.Writer) *Output {
	o := &Output{w: w, terminal: IsTerminal(w)}
	o.file, _ = w.(*os.File)
	return o
}

// Write fails for good with the first write that failed.
func (o *Output) Write(p []byte) (int, error) {
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

// put writes text as it is, with mu held.
func (o *Output) put(text []byte) error {
	if o.err == nil && len(text) > 0 {
		if _, err := o.w.Write(text); err != nil {
			o.err = fmt.Errorf("cannot write to standard output: %w", err)
		}
	}
	return o.err
}

// Close writes what is left, closes the file, and returns the first error of all.
// Some file systems say only at the close that there was no room.
func (o *Output) Close() error {
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
