package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow/pebblestore/reclaim"
)

// formatVersion is the version of keys.go and group.go. A store whose format is
// higher than formatTrimmed was written by a newer program.
const formatVersion = 2

// Open opens the store in the folder dir. Where there is nothing it makes both,
// readable by their owner alone. It brings up a store of format 1. It keeps other
// processes out until Close.
//
// A folder that holds parts of a store is never taken for an empty one. An error
// that wraps ErrCorrupt says what is damaged. Any other says what is in the way:
// another process, permissions, a full disk, a newer format.
//
// Options.Fatal may be called before Open returns.
func Open(dir string, opts Options) (*Store, error) {
	opts.ensureDefaults()
	s := &Store{dir: dir, opts: opts, onDisk: opts.FS == nil}
	if s.opts.Fatal == nil {
		s.opts.Fatal = exit(opts.Logger, opts.Exit)
	}
	if err := s.openStore(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.closeStore())
	}
	s.figures.last = s.db.Metrics()
	s.running.Store(true)
	s.applying.batch = s.db.NewBatch(pebble.WithInitialSizeBytes(64<<10), pebble.WithMaxRetainedSizeBytes(4<<20))
	s.reclaim = reclaim.Start(s.db, reclaim.Options{
		First: []byte{familyEvent}, End: []byte{familyEvent + 1}, Room: s.hasRoom, Logger: opts.Logger.With("folder", dir),
	})
	return s, nil
}

// hasRoom reports whether the disk has room for so many bytes of tables, and for those
// that flushes write meanwhile.
func (s *Store) hasRoom(bytes uint64) bool {
	if !s.onDisk {
		return true
	}
	free, err := FreeSpace(s.dir)
	return err == nil && free > bytes+uint64(memTables*s.opts.MemTableBytes)
}

func (s *Store) openStore() (err error) {
	popts := s.pebbleOptions()
	fsys := popts.FS
	if err := makeFolder(fsys, s.dir); err != nil {
		return s.openError(err)
	}
	if err := s.lockStore(fsys, false); err != nil {
		return s.openError(err)
	}
	popts.Lock = s.lock
	defer func() {
		if p := recover(); p != nil {
			err = s.openError(fmt.Errorf("pebble panicked: %v", p))
		}
		if err != nil {
			s.unlockStore()
		}
	}()
	if err := s.checkFolder(fsys); err != nil {
		return err
	}
	s.findTornTail(fsys)
	popts.FileCache = s.opts.files().cache()
	defer popts.FileCache.Unref() // the open store has its own
	s.db, err = pebble.Open(s.dir, popts)
	if err != nil {
		return s.openError(err)
	}
	if err := s.oldLogs.release(fsys); err != nil {
		s.opts.Logger.Warn("replayed log files could not be removed: the next start tries again", "error", err, "folder", s.dir)
	}
	return nil
}

// start checks the format, makes it the present one, and reads where the store
// stands.
func (s *Store) start() error {
	p, err := s.readPoint(s.db)
	if err != nil {
		return err
	}
	if p.format == 0 {
		if err := s.checkEmpty(); err != nil {
			return err
		}
	}
	if p.format < formatVersion {
		if err := s.bringUp(p); err != nil {
			return err
		}
	}
	s.trims = p.format == formatTrimmed
	made, err := s.meta(s.db, metaLogMade)
	if err != nil {
		return err
	}
	s.isNew = made == 0
	s.applied.Store(p.seq)
	s.flushed.Store(true) // Durable has to look
	return nil
}

func (s *Store) newerFormat(format uint64) error {
	return fmt.Errorf("cannot open data folder %q: it has format version %d, this program reads versions up to %d: start a newer cowrelay", s.dir, format, formatTrimmed)
}

// checkEmpty finds a store that lost its format version or was not made by us.
func (s *Store) checkEmpty() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return s.corrupt(err, "the store can't be read")
	}
	defer it.Close()
	if it.First() {
		return s.corrupt(nil, "the store holds keys but no format version")
	}
	if err := it.Error(); err != nil {
		return s.corrupt(err, "the store can't be read")
	}
	return nil
}

// Close implements replay.Store. What is not durable is lost with it: see Flush.
func (s *Store) Close() error {
	if s.readOnly {
		return s.closeStore()
	}
	s.reclaim.Close()
	return errors.Join(s.applying.batch.Close(), s.closeStore())
}

func (s *Store) closeStore() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot close data folder %q: pebble panicked: %v", s.dir, p)
		}
	}()
	s.figures.wg.Wait()
	if err := errors.Join(s.db.Close(), s.unlockStore()); err != nil {
		return fmt.Errorf("cannot close data folder %q: %w", s.dir, err)
	}
	return nil
}
