package offline

import (
	"fmt"
	"io"
	"os"

	"cowrelay/cmd/cowrelay/internal/term"
	"cowrelay/cmd/cowrelay/internal/wholefile"
)

// exportOut is where lines go: standard output, a file that gets its name when it
// is whole, or something that is there already and can only be written to.
type exportOut struct {
	io.Writer                 // standard output, if both of these are nil
	device    *os.File        // neither standard output nor a regular file
	whole     *wholefile.File // a regular file
}

// newExportOut opens the file that --out names, "" for standard output.
func newExportOut(path string, stdout io.Writer) (*exportOut, error) {
	if path == "" || sameFile(path, term.FileOf(stdout)) {
		return &exportOut{Writer: stdout}, nil
	}
	name, err := wholefile.Replaceable(path)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if name == "" {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, fmt.Errorf("--out: %w", err)
		}
		return &exportOut{Writer: f, device: f}, nil
	}
	w, err := wholefile.Create(name, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return &exportOut{Writer: w, whole: w}, nil
}

// sameFile says whether path is a name of an open file that is not its own, such
// as /dev/stdout.
func sameFile(path string, f *os.File) bool {
	link, err := os.Lstat(path)
	if f == nil || err != nil || link.Mode().IsRegular() {
		return false
	}
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(named, open)
}

// finish gives the file its name, or returns the error that the export ended with
// and says where the rest is.
func (o *exportOut) finish(err error) error {
	switch {
	case o.device != nil:
		if e := o.device.Close(); err == nil {
			err = e
		}
		return err
	case o.whole == nil:
		return err
	}
	if err == nil {
		err = o.whole.Commit()
	} else {
		o.whole.Close()
	}
	if err != nil {
		if _, e := os.Stat(o.whole.Name()); e == nil {
			err = fmt.Errorf("%w (what was exported until then is in %s)", err, o.whole.Name())
		}
	}
	return err
}
