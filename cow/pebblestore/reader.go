package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2"
)

// ErrInUse is wrapped by OpenReader's error when a relay has the folder.
var ErrInUse = errors.New("is in use by another process")

// OpenReader opens the store in the folder dir, which no relay uses, for reading. It
// writes nothing, so it can read a copy on a read-only disk. A log of format 1 is
// replayed into memory (some memtables). Until Close it keeps relays out, but not
// other readers. Of the options it takes FS, CacheBytes and Logger. Apply of such a
// store fails, and Flush does nothing.
//
// The error wraps ErrCorrupt if the store is damaged, and ErrInUse if a relay has it.
func OpenReader(dir string, opts Options) (*Store, error) {
	opts.ensureDefaults()
	s := &Store{dir: dir, onDisk: opts.FS == nil, readOnly: true}
	opts.FS = newReadFS(opts.FS)
	s.opts = opts
	s.opts.Fatal = exit(opts.Logger, opts.Exit)
	if err := s.openToRead(); err != nil {
		return nil, err
	}
	if err := s.startToRead(); err != nil {
		return nil, errors.Join(err, s.closeStore())
	}
	return s, nil
}

func (s *Store) openToRead() (err error) {
	popts := s.pebbleOptions()
	popts.ReadOnly = true
	if _, err := popts.FS.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no data folder %q", s.dir)
	}
	// Before the lock: a folder without a store may have no lock file.
	if err := s.checkFolder(popts.FS); err != nil {
		return s.readError(err)
	}
	if err := s.lockStore(popts.FS, true); err != nil {
		return s.readError(err)
	}
	popts.Lock = s.lock
	defer func() {
		if p := recover(); p != nil {
			err = s.readError(fmt.Errorf("pebble panicked: %v", p))
		}
		if err != nil {
			s.unlockStore()
		}
	}()
	s.findTornTail(popts.FS)
	popts.FileCache = s.opts.files().cache()
	defer popts.FileCache.Unref() // the open store has its own
	s.db, err = pebble.Open(s.dir, popts)
	if err != nil {
		return s.readError(err)
	}
	return nil
}

func (s *Store) readError(err error) error {
	dir := s.dir
	switch {
	case isLocked(err):
		return fmt.Errorf("data folder %q %w", dir, ErrInUse)
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("data folder %q holds no store", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data folder %q is not readable for user %d: %w", dir, os.Getuid(), err)
	case errors.Is(err, ErrCorrupt):
		return err
	}
	return s.openError(err)
}

// startToRead refuses a store that this program can't read.
func (s *Store) startToRead() error {
	p, err := s.readPoint(s.db)
	if err == nil && p.format == 0 {
		err = s.checkEmpty()
	}
	if err != nil {
		return err
	}
	made, err := s.meta(s.db, metaLogMade)
	if err != nil {
		return err
	}
	s.isNew = made == 0
	s.applied.Store(p.seq)
	s.durable = p.seq
	return nil
}
