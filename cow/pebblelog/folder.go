package pebblelog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkFolder looks at the names in the folder before Pebble does. Pebble
// makes a new store wherever it finds no manifest marker, whatever else lies
// there, and replays the log files that are there, without missing any.
func (l *Log) checkFolder(fsys vfs.FS) error {
	names, err := fsys.List(l.dir)
	if err != nil {
		return l.openError(err)
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
		return l.openError(errors.New("it holds a store of another program: CURRENT is there, marker.manifest.* is missing"))
	case !marker && logs+options+tables > 0:
		// A manifest alone is a creation that was cut short: nothing was
		// stored yet.
		return l.openError(fmt.Errorf("marker.manifest.* is missing beside %d tables, %d logs and %d options files", tables, logs, options))
	case marker && options > 0 && logs == 0:
		// The options file is written after the first log file, and a log
		// file goes only when the next one is there (see oldLogs).
		return l.openError(errors.New("the log files *.log are missing"))
	}
	return nil
}

// isLocked reports whether another process, or this one, has the folder.
func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") || strings.Contains(err.Error(), "file is already locked")
}

// openError says what keeps the folder from being opened and what to do.
func (l *Log) openError(err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	switch {
	case isLocked(err):
		return fmt.Errorf("data folder %q is in use by another process: stop that one, or choose another folder", l.dir)
	case errors.Is(err, fs.ErrPermission), errno == syscall.EROFS:
		return fmt.Errorf("data folder %q is not writable for user %d: %w: change its owner or mode, or choose another folder", l.dir, os.Getuid(), err)
	case errno == syscall.ENOTDIR, errno == syscall.EEXIST:
		return fmt.Errorf("cannot make data folder %q: %w: choose another folder", l.dir, err)
	case errno == syscall.ENOSPC, errno == syscall.EDQUOT:
		return fmt.Errorf("cannot open data folder %q: %w: make room on the disk", l.dir, err)
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("cannot open data folder %q: %w: it was written by a newer program, start that one", l.dir, err)
	case errno != 0 && errno != syscall.ENOENT:
		return fmt.Errorf("cannot open data folder %q: %w: check the disk and the limits of the process", l.dir, err)
	}
	l.corruptions.Add(1)
	return fmt.Errorf("%w: cannot open data folder %q: %w: restore the folder from a backup, or move it away to start with an empty one", ErrCorrupt, l.dir, nameFile(err))
}
