package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// exportOut is standard output, or a file that has its name only when it is
// whole.
type exportOut struct {
	io.Writer
	file *os.File // nil for standard output
	path string
}

func newExportOut(path string, stdout io.Writer) (*exportOut, error) {
	if path == "" {
		return &exportOut{Writer: stdout, path: "standard output"}, nil
	}
	f, err := os.OpenFile(path+".partial", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return &exportOut{Writer: f, file: f, path: path}, nil
}

// Write names what can't be written.
func (o *exportOut) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.file == nil {
		err = fmt.Errorf("cannot write to %s: %w", o.path, err)
	}
	return n, err
}

// finish gives the file its name, or returns the error that the export ended with
// and says where the rest is.
func (o *exportOut) finish(err error) error {
	if o.file == nil {
		return err
	}
	partial := o.file.Name()
	if err == nil {
		err = o.file.Sync()
	}
	if e := o.file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(partial, o.path)
	}
	if err != nil {
		return fmt.Errorf("%w (what was exported until then is in %s)", err, partial)
	}
	return syncFolder(filepath.Dir(o.path))
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
