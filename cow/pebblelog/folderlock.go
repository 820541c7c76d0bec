package pebblelog

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// lockFolder locks the folder itself, beside the lock file in it, which anybody
// may remove: shared for who reads, else for one alone. The lock is the folder's,
// whatever it is called, and falls with the process. Unlike that of the lock file
// it also holds between two parts of one process. nil: the file system has no such
// locks (NFS, for instance, has none for folders).
func lockFolder(dir string, shared bool) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	if err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, err
	}
	return nil, nil
}

// lockStore locks the folder, where that is on the real disk, and the lock file in
// it.
func (l *Log) lockStore(fsys vfs.FS, shared bool) (err error) {
	if l.onDisk {
		if l.folder, err = lockFolder(l.dir, shared); err != nil {
			return err
		}
	}
	if l.lock, err = pebble.LockDirectory(l.dir, fsys); err != nil {
		return errors.Join(err, l.unlockStore())
	}
	return nil
}

// unlockStore gives both locks back, the folder's last.
func (l *Log) unlockStore() (err error) {
	if l.lock != nil {
		err = l.lock.Close()
	}
	if l.folder != nil {
		err = errors.Join(err, l.folder.Close())
	}
	return err
}
