package pebblestore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// Modes of what the store makes on a real disk. Only the owner may read events and
// token hashes, whatever the umask says.
const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// privateFS is the real disk with these modes. Pebble itself makes folders with
// 0755 and files with 0666, less the umask. The umask belongs to the whole process,
// so a package must not change it.
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

// makeFolder makes dir and those of its parents that are missing, durably.
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

// readFS is a disk that refuses every write.
type readFS struct {
	vfs.FS
	real bool
}

// newReadFS returns fsys, or the real disk, without its ways to write.
func newReadFS(fsys vfs.FS) vfs.FS {
	if fsys == nil {
		return readFS{vfs.Default, true}
	}
	return readFS{fsys, false}
}

func (f readFS) refuse(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: syscall.EROFS}
}

func (f readFS) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, f.refuse("create", name)
}

func (f readFS) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	return nil, f.refuse("open for writing", name)
}

func (f readFS) ReuseForWrite(_, name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, f.refuse("reuse", name)
}

func (f readFS) Link(_, name string) error                 { return f.refuse("link", name) }
func (f readFS) Rename(_, name string) error               { return f.refuse("rename", name) }
func (f readFS) Remove(name string) error                  { return f.refuse("remove", name) }
func (f readFS) RemoveAll(name string) error               { return f.refuse("remove", name) }
func (f readFS) MkdirAll(name string, _ fs.FileMode) error { return f.refuse("mkdir", name) }
func (f readFS) Unwrap() vfs.FS                            { return f.FS }

// Lock takes a shared lock on the lock file of the store. A Log locks the file for
// itself alone, so it keeps readers out and is kept out by them. Pebble's own lock
// would write to the file. Where there is no such file the folder is a copy: no Log
// ever ran in it.
func (f readFS) Lock(name string) (io.Closer, error) {
	if !f.real {
		return f.FS.Lock(name)
	}
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	spec := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_SETLK, &spec); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
