package engine

import (
	"errors"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow/filelog"
)

// logFS is a file system of Pebble's as a log needs it, so that both parts of a
// journal can lie on one that tests put in place of the disk. It locks nothing: the
// store has locked the folder around it.
type logFS struct{ fs vfs.FS }

const logWrites = vfs.WriteCategoryUnspecified

func (l logFS) Open(name string, write, create bool) (filelog.File, error) {
	_, err := l.fs.Stat(name)
	var f vfs.File
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case missing && create:
		f, err = l.fs.OpenReadWrite(name, logWrites)
	case err != nil:
	case write:
		f, err = l.fs.OpenReadWrite(name, logWrites)
	default:
		f, err = l.fs.Open(name)
	}
	if err != nil {
		return nil, err
	}
	return logFile{f}, nil
}

func (l logFS) List(dir string) ([]string, error) { return l.fs.List(dir) }

func (l logFS) MakeFolder(dir string) error {
	if err := l.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return l.SyncFolder(l.fs.PathDir(dir))
}

func (l logFS) Rename(from, to string) error { return l.fs.Rename(from, to) }
func (l logFS) Remove(name string) error     { return l.fs.Remove(name) }

func (l logFS) SyncFolder(dir string) error {
	if dir == "." {
		dir = ""
	}
	d, err := l.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// logFile is a file of a logFS.
type logFile struct{ vfs.File }

func (f logFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f logFile) Reserve(size int64) error { return f.Preallocate(0, size) }
