package pebblelog

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Modes of what the store makes on a real disk. Events and token hashes are
// nobody else's business, whatever the umask says.
const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// privateFS is the real disk with these modes. Pebble itself makes folders
// 0755 and files 0666, both cut by the umask, which belongs to the process
// and so is not ours to change.
type privateFS struct{ vfs.FS }

func (f privateFS) private(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, fileMode); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (f privateFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.private(name, file, err)
}

func (f privateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, opts...)
	return f.private(name, file, err)
}

func (f privateFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, c)
	return f.private(newname, file, err)
}

func (f privateFS) MkdirAll(dir string, _ fs.FileMode) error {
	return f.FS.MkdirAll(dir, folderMode)
}

func (f privateFS) Lock(name string) (io.Closer, error) {
	lock, err := f.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, fileMode); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

func (f privateFS) Unwrap() vfs.FS { return f.FS }

// makeFolder makes dir and its parents durable, where they are not there yet.
func makeFolder(fsys vfs.FS, dir string) error {
	var parents []string
	for d := dir; ; d = parents[len(parents)-1] {
		if _, err := fsys.Stat(d); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := fsys.PathDir(d)
		if parent == d {
			break
		}
		parents = append(parents, parent)
	}
	if err := fsys.MkdirAll(dir, folderMode); err != nil {
		return err
	}
	for _, parent := range parents {
		d, err := fsys.OpenDir(parent)
		if err != nil {
			return err
		}
		err = d.Sync()
		if cerr := d.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
