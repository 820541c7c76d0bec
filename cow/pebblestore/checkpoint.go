package pebblestore

import (
	"context"
	"fmt"
	"io"
)

// Checkpoint makes a copy of the store as it is now in the folder dst, which must not
// be there and must be on the same file system. The tables of the copy are hard links:
// the copy takes no space until the store has dropped a table that the copy still has.
// The store goes on meanwhile. It holds at least what was applied before the call. ctx
// bounds the wait for the flush.
//
// A copy is a folder like any other: OpenReader reads it, and Open makes it a store.
func (s *Store) Checkpoint(ctx context.Context, dst string) (err error) {
	switch {
	case s.readOnly:
		return errReadOnly
	case s.dead.Load():
		return fmt.Errorf("data folder %q: the store failed before: %w", s.dir, *s.lastError.Load())
	}
	if s.onDisk {
		// A flush on a full disk fails and is tried again, for ever.
		if free, err := FreeSpace(s.dir); err != nil || free < uint64(2*memTables*s.opts.MemTableBytes) {
			return fmt.Errorf("no copy of the store can be made in %q: the disk is nearly full", s.dir)
		}
	}
	flushed, err := s.flush()
	if err != nil {
		return fmt.Errorf("no copy of the store can be made: a flush could not start: %w", err)
	}
	select {
	case <-flushed:
	case <-ctx.Done():
		return fmt.Errorf("no copy of the store was made: its flush has not ended: %w", ctx.Err())
	}
	defer notPanic(&err)
	if err := s.db.Checkpoint(dst); err != nil {
		return fmt.Errorf("no copy of the store was made in %q: %w", dst, err)
	}
	return nil
}

// LockFolder keeps other processes from opening a store in the folder, until the lock
// is closed. The error wraps ErrInUse if one has. Where the file system has no such
// locks it returns a lock that does nothing.
func LockFolder(dir string) (io.Closer, error) {
	f, err := lockFolder(dir, false)
	switch {
	case err != nil && isLocked(err):
		return nil, fmt.Errorf("data folder %q %w", dir, ErrInUse)
	case err != nil:
		return nil, err
	case f == nil:
		return io.NopCloser(nil), nil
	}
	return f, nil
}
