package pebblelog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// ErrInUse is wrapped by OpenReader's error when a relay has the folder.
var ErrInUse = errors.New("is in use by another process")

// Reader reads a store that no relay uses. It writes nothing, so it can read a copy
// on a read-only disk. It replays the log into memory (some memtables). Until Close
// it keeps relays out, but not other readers. Methods may be called concurrently,
// except Close with any other.
type Reader struct {
	log *Log // only its methods that read are used
}

// OpenReader opens the store in the folder dir. Of the options it takes FS,
// CacheBytes and Logger. The error wraps ErrCorrupt if the store is damaged, and
// ErrInUse if a relay has it.
func OpenReader(dir string, opts Options) (*Reader, error) {
	opts.ensureDefaults()
	l := &Log{dir: dir, onDisk: opts.FS == nil}
	opts.FS = newReadFS(opts.FS)
	l.opts = opts
	l.opts.Fatal = exit(opts.Logger, opts.Exit)
	r := &Reader{log: l}
	if err := r.open(); err != nil {
		return nil, err
	}
	if err := r.checkFormat(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Reader) open() (err error) {
	l := r.log
	popts := l.pebbleOptions()
	popts.ReadOnly = true
	if _, err := popts.FS.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no data folder %q", l.dir)
	}
	// Before the lock: a folder without a store may have no lock file.
	if err := l.checkFolder(popts.FS); err != nil {
		return r.openError(err)
	}
	if err := l.lockStore(popts.FS, true); err != nil {
		return r.openError(err)
	}
	popts.Lock = l.lock
	defer func() {
		if p := recover(); p != nil {
			err = r.openError(fmt.Errorf("pebble panicked: %v", p))
		}
		if err != nil {
			l.unlockStore()
		}
	}()
	l.findTornTail(popts.FS)
	popts.FileCache = l.opts.files().cache()
	defer popts.FileCache.Unref() // the open store has its own
	l.db, err = pebble.Open(l.dir, popts)
	if err != nil {
		return r.openError(err)
	}
	return nil
}

func (r *Reader) openError(err error) error {
	dir := r.log.dir
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
	return r.log.openError(err)
}

// checkFormat refuses a store that this program can't read.
func (r *Reader) checkFormat() error {
	l := r.log
	format, err := l.meta(metaFormat)
	switch {
	case err != nil:
		return err
	case format > formatVersion:
		return l.newerFormat(format)
	case format == 0:
		return l.checkEmpty()
	}
	return nil
}

// Slots yields the record of each slot, by id. It fails at the first one that can't
// be read.
func (r *Reader) Slots(yield func(cow.SlotRecord) error) error { return r.log.Slots(yield) }

// Load yields a slot's events from position from on, as Log.Load does.
func (r *Reader) Load(slot cow.ID, from uint64, yield func(*cow.Append) error) error {
	return r.log.Load(slot, from, yield)
}

// TornTail returns the end of the log that could not be read, or nil.
func (r *Reader) TornTail() *TornTail { return r.log.torn }

// Close releases the folder.
func (r *Reader) Close() error { return r.log.closeStore() }

// Value reads a record, as Log.Value does.
func (r *Reader) Value(key string) (value []byte, version uint64, err error) { return r.log.Value(key) }
