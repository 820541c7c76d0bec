package pebblelog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// readFS is a disk to which nothing is written, whoever tries.
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

// Lock takes a shared lock on the lock file of the store, without writing to
// it as Pebble's own lock does: a Log, which locks it for itself, has it or is
// kept out. Where there is no such file, no Log ever ran: it is a copy.
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
