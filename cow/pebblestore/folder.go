package pebblestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// checkFolder looks at the names in the folder before Pebble does. Pebble would
// not notice a loss: it makes a new store wherever it finds no manifest marker,
// whatever else lies there, and it replays the logs that it finds, however many
// are gone.
func (s *Store) checkFolder(fsys vfs.FS) error {
	names, err := fsys.List(s.dir)
	if err != nil {
		return s.openError(err)
	}
	var marker, current bool
	var logs, options, tables int
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "marker.manifest."):
			marker = true
		case name == "CURRENT":
			current = true
		case strings.HasPrefix(name, "OPTIONS-"):
			options++
		case strings.HasSuffix(name, ".log"):
			logs++
		case strings.HasSuffix(name, ".sst"), strings.HasSuffix(name, ".blob"):
			tables++
		}
	}
	switch {
	case current && !marker:
		return s.openError(errors.New("it holds a store of another program: CURRENT is there, marker.manifest.* is missing"))
	case !marker && logs+options+tables > 0:
		// A manifest alone is no loss: the making of the store was cut short,
		// and nothing was stored yet.
		return s.openError(fmt.Errorf("marker.manifest.* is missing beside %d tables, %d logs and %d options files", tables, logs, options))
	case marker && options > 0 && logs == 0:
		// The options file is written after the first log file, which format 2
		// has too. A log file is removed only when the next one is there (see
		// oldLogs).
		return s.openError(errors.New("the log files *.log are missing"))
	}
	return nil
}

// lockFolder locks the folder itself, shared by readers or for one writer alone.
// The lock file in the folder is not enough, since anybody may remove it. This lock
// belongs to the folder, whatever its name becomes, and ends with the process.
// Unlike that of the lock file it also holds between two parts of one process. It
// returns nil where the file system has no such locks; NFS has none for folders.
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

// lockStore locks the folder, if it is on the real disk, and the lock file in it.
func (s *Store) lockStore(fsys vfs.FS, shared bool) (err error) {
	if s.onDisk {
		if s.folder, err = lockFolder(s.dir, shared); err != nil {
			return err
		}
	}
	if s.lock, err = pebble.LockDirectory(s.dir, fsys); err != nil {
		return errors.Join(err, s.unlockStore())
	}
	return nil
}

// unlockStore releases both locks, the folder's last.
func (s *Store) unlockStore() (err error) {
	if s.lock != nil {
		err = s.lock.Close()
	}
	if s.folder != nil {
		err = errors.Join(err, s.folder.Close())
	}
	return err
}

// UsedSpace returns how many bytes of the disk the files in dir take, and those in its
// folders. That is what du says: space that a file has reserved counts, and a hole in
// it does not, and a file of several names, as a checkpoint makes them, counts once. A
// file that goes meanwhile counts or not.
func UsedSpace(dir string) (bytes uint64, err error) {
	linked := make(map[uint64]bool) // files of several names, by inode
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var s unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &s)
		}
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if s.Nlink > 1 && s.Mode&unix.S_IFMT == unix.S_IFREG {
			if linked[s.Ino] {
				return err
			}
			linked[s.Ino] = true
		}
		bytes += uint64(s.Blocks) * 512
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot read the space that %q takes: %w", dir, err)
	}
	return bytes, nil
}

// FreeSpace returns how many bytes an unprivileged process can still write to
// the file system that holds dir.
func FreeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	for {
		err := unix.Statfs(dir, &s)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("cannot read the free space of %q: %w", dir, err)
		}
		return s.Bavail * uint64(s.Bsize), nil
	}
}
