package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// ErrCorrupt is wrapped by errors that say that the store can't be read or
// does not fit together.
var ErrCorrupt = errors.New("pebblestore: corrupt store")

// corrupt makes the error for something that can't be read. It says what that is,
// where it lies, and what an operator can do.
func (s *Store) corrupt(cause error, format string, args ...any) error {
	s.corruptions.Add(1)
	what := fmt.Sprintf(format, args...)
	if cause == nil {
		return fmt.Errorf("%w: %s (data folder %q): restore the folder from a backup", ErrCorrupt, what, s.dir)
	}
	return fmt.Errorf("%w: %s (data folder %q): %w: check the disk, or restore the folder from a backup", ErrCorrupt, what, s.dir, nameFile(cause))
}

// tableNumber finds a table in those of Pebble's errors that name no file.
var tableNumber = regexp.MustCompile(`file (\d{6,}) \(type sstable\)`)

// nameFile adds the name of the damaged file to an error of Pebble's.
func nameFile(err error) error {
	if info := pebble.ExtractDataCorruptionInfo(err); info != nil {
		return fmt.Errorf("%s: %w", info.Path, info.Details)
	}
	if m := tableNumber.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s.sst: %w", m[1], err)
	}
	if strings.Contains(err.Error(), "replaying WAL") {
		return fmt.Errorf("a log file *.log is damaged: %w", err)
	}
	return err
}

// isLocked reports whether another process, or this one, has the folder.
func isLocked(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") || strings.Contains(err.Error(), "file is already locked")
}

// openError says what keeps the folder from being opened and what to do.
func (s *Store) openError(err error) error {
	var errno syscall.Errno
	errors.As(err, &errno)
	switch {
	case isLocked(err):
		return fmt.Errorf("data folder %q is in use by another process: stop that one, or choose another folder", s.dir)
	case errors.Is(err, fs.ErrPermission), errno == syscall.EROFS:
		return fmt.Errorf("data folder %q is not writable for user %d: %w: change its owner or mode, or choose another folder", s.dir, os.Getuid(), err)
	case errno == syscall.ENOTDIR, errno == syscall.EEXIST:
		return fmt.Errorf("cannot make data folder %q: %w: choose another folder", s.dir, err)
	case errno == syscall.ENOSPC, errno == syscall.EDQUOT:
		return fmt.Errorf("cannot open data folder %q: %w: make room on the disk", s.dir, err)
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("cannot open data folder %q: %w: it was written by a newer program, start that one", s.dir, err)
	case errno != 0 && errno != syscall.ENOENT:
		return fmt.Errorf("cannot open data folder %q: %w: check the disk and the limits of the process", s.dir, err)
	}
	s.corruptions.Add(1)
	return fmt.Errorf("%w: cannot open data folder %q: %w: restore the folder from a backup, or move it away to start with an empty one", ErrCorrupt, s.dir, nameFile(err))
}

// die ends the process, because Pebble can't go on. It never returns, not even if
// Options.Fatal does: Pebble would go on with a state that it holds for impossible.
func (s *Store) die(err error) {
	s.lastError.Store(&err) // before dead: Apply reads it behind that
	if s.dead.CompareAndSwap(false, true) {
		// On a goroutine of its own. The caller may hold locks of Pebble's. A
		// Fatal that panics or ends its goroutine would release them.
		go s.opts.Fatal(fmt.Errorf("data folder %q: %w", s.dir, err))
	}
	select {}
}

// failure counts and logs an error behind which the store goes on.
func (s *Store) failure(err error) {
	s.background.Add(1)
	s.lastError.Store(&err)
	s.backgroundLog.log(s.opts.Logger, slog.LevelError, "the store could not do what it does in the background: it tries again", "error", err, "folder", s.dir)
}

// exit is the default of Options.Fatal.
func exit(log *slog.Logger, end func(int)) func(error) {
	return func(err error) {
		do := "start again: the log has what the store lacks; if it happens again, check the disk"
		if errors.Is(err, syscall.ENOSPC) {
			do = "make room on the disk, then start again: the log has what the store lacks"
		}
		log.Error("the store failed, the process ends", "error", err, "do", do)
		end(1)
	}
}

// pebbleLogger passes Pebble's log lines on to slog.
type pebbleLogger struct{ s *Store }

func (p pebbleLogger) Infof(format string, args ...any) {
	if log := p.s.opts.Logger; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("pebble", "message", fmt.Sprintf(format, args...))
	}
}

func (p pebbleLogger) Errorf(format string, args ...any) {
	p.s.opts.Logger.Error("pebble", "message", fmt.Sprintf(format, args...))
}

// Fatalf never returns. Pebble calls it where it can't go on, for instance when
// it can't write the manifest.
func (p pebbleLogger) Fatalf(format string, args ...any) {
	for _, a := range args {
		if err, ok := a.(error); ok {
			p.s.die(fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err))
		}
	}
	p.s.die(fmt.Errorf(format, args...))
}
