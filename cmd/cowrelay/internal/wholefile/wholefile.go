// Package wholefile writes files that are there whole or not at all, and reads
// small ones. Such files hold tokens and exports, so they are made readable by
// their owner alone, and nobody else can prepare what lies in their way.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a regular file that is being written. It gets its name only when it is
// whole and durable. Until then it has a random name beside that one, which nobody
// can have prepared:
//
//	Create ──▶ path.RANDOM.partial ──Commit──▶ path
//
// Create makes it. It must end with Commit or Close.
type File struct {
	*os.File
	path string // what it will be called
}

// Create begins the file that will be called path, with exactly these permissions.
// Commit replaces what is at path then, which has to be a regular file or nothing.
func Create(path string, mode fs.FileMode) (*File, error) {
	// Made with O_EXCL, and readable by nobody else.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return &File{f, path}, nil
}

// Commit makes the file durable and gives it its name. If it fails, the file stays
// under Name.
func (w *File) Commit() error {
	if err := errors.Join(w.Sync(), w.Close()); err != nil {
		return err
	}
	if err := os.Rename(w.Name(), w.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(w.path))
}

// Write writes a file whole, or leaves what was there.
func Write(path string, data []byte, mode fs.FileMode) error {
	w, err := Create(path, mode)
	if err != nil {
		return err
	}
	if _, err = w.Write(data); err == nil {
		err = w.Commit()
	}
	if err != nil {
		w.Close()
		os.Remove(w.Name())
	}
	return err
}
