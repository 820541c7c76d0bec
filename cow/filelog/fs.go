package filelog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// FS is what a log needs of a file system. Tests put others in its place.
type FS interface {
	// Open opens a file to read it, and with write to write it. create makes it
	// where it is missing.
	Open(name string, write, create bool) (File, error)
	// List returns the names in a folder. A missing folder is fs.ErrNotExist.
	List(dir string) ([]string, error)
	// MakeFolder makes a folder durably, with its parents. It may exist.
	MakeFolder(dir string) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncFolder makes durable which names the folder holds.
	SyncFolder(dir string) error
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	// Reserve takes room on the disk for the file up to a size, if it can.
	Reserve(size int64) error
	// Sync makes durable what was written, and the size.
	Sync() error
}

// Disk is the real disk.
type Disk struct{}

type diskFile struct {
	*os.File
	fd int
}

func (Disk) Open(name string, write, create bool) (File, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f, int(f.Fd())}, nil
}

func (Disk) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (d Disk) MakeFolder(dir string) error {
	parent := filepath.Dir(dir)
	if _, err := os.Stat(dir); err != nil && parent != dir {
		if err := d.MakeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if info, serr := os.Stat(dir); serr == nil && info.IsDir() {
			return nil
		}
		return err
	}
	return d.SyncFolder(parent)
}

func (Disk) Rename(from, to string) error { return os.Rename(from, to) }
func (Disk) Remove(name string) error     { return os.Remove(name) }

func (Disk) SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
