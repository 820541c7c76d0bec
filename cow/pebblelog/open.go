package pebblelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/cockroachdb/pebble/v2"

	"cowrelay/cow"
)

// formatVersion is the version of keys.go. A store with a higher one was
// written by a newer program.
const formatVersion = 1

// Open opens the store in the folder dir. Where there is nothing it makes both,
// readable by their owner alone. It keeps other processes out until Close.
//
// A folder that holds parts of a store is never taken for an empty one. An error
// that wraps ErrCorrupt says what is damaged. Any other says what is in the way:
// another process, permissions, a full disk, a newer format.
//
// Options.Fatal may be called before Open returns.
func Open(dir string, opts Options) (*Log, error) {
	opts.ensureDefaults()
	l := &Log{
		dir:     dir,
		opts:    opts,
		onDisk:  opts.FS == nil,
		pending: make(map[cow.ID]pending),
		stop:    make(chan struct{}),
		flusher: flusher{wake: make(chan struct{}, 1)},
	}
	if l.opts.Fatal == nil {
		l.opts.Fatal = exit(opts.Logger, opts.Exit)
	}
	l.records.seed = maphash.MakeSeed()
	if err := l.openStore(); err != nil {
		return nil, err
	}
	if err := l.readMeta(); err != nil {
		return nil, errors.Join(err, l.closeStore())
	}
	if err := l.readHeads(); err != nil {
		return nil, errors.Join(err, l.closeStore())
	}
	l.batch = l.db.NewBatch(pebble.WithInitialSizeBytes(64<<10), pebble.WithMaxRetainedSizeBytes(1<<20))
	if l.opts.Sync == Interval {
		l.goLabelled("sync", l.syncLoop)
	}
	l.goLabelled("flush", l.flushLoop)
	l.running.Store(true)
	return l, nil
}

func (l *Log) openStore() (err error) {
	popts := l.pebbleOptions()
	fsys := popts.FS
	if err := makeFolder(fsys, l.dir); err != nil {
		return l.openError(err)
	}
	if err := l.lockStore(fsys, false); err != nil {
		return l.openError(err)
	}
	popts.Lock = l.lock
	defer func() {
		if p := recover(); p != nil {
			err = l.openError(fmt.Errorf("pebble panicked: %v", p))
		}
		if err != nil {
			l.unlockStore()
		}
	}()
	if err := l.checkFolder(fsys); err != nil {
		return err
	}
	l.findTornTail(fsys)
	popts.FileCache = l.opts.files().cache()
	defer popts.FileCache.Unref() // the open store has its own
	l.db, err = pebble.Open(l.dir, popts)
	if err != nil {
		return l.openError(err)
	}
	if err := l.oldLogs.release(fsys); err != nil {
		l.opts.Logger.Warn("replayed log files could not be removed: the next start tries again", "error", err, "folder", l.dir)
	}
	return nil
}

// readMeta checks the format, reads the totals and starts a new epoch of
// record versions.
func (l *Log) readMeta() error {
	format, err := l.meta(metaFormat)
	if err != nil {
		return err
	}
	if format > formatVersion {
		return l.newerFormat(format)
	}
	b := l.db.NewBatch()
	defer b.Close()
	var v [binary.MaxVarintLen64]byte
	if format == 0 {
		if err := l.checkEmpty(); err != nil {
			return err
		}
		must(b.Set(metaFormat, v[:binary.PutUvarint(v[:], formatVersion)], nil))
	}
	epoch, err := l.meta(metaEpoch)
	if err != nil {
		return err
	}
	epoch++
	l.records.version.Store(epoch << epochShift)
	must(b.Set(metaEpoch, v[:binary.PutUvarint(v[:], epoch)], nil))
	switch t, closer, err := l.db.Get(metaTotals); {
	case err == nil:
		l.totals.SlotAllocations, l.totals.EventsPosted, err = decodePair(t)
		closer.Close()
		if err != nil {
			return l.corrupt(err, "the totals")
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return l.corrupt(err, "the totals can't be read")
	}
	switch t, closer, err := l.db.Get(metaCounted); {
	case err == nil:
		l.counted.handed, err = decodeTotals(t)
		l.counted.durable = l.counted.handed
		closer.Close()
		if err != nil {
			return l.corrupt(err, "the totals of records")
		}
	case !errors.Is(err, pebble.ErrNotFound):
		return l.corrupt(err, "the totals of records can't be read")
	}
	l.apply(b)
	if format == 0 {
		// In a table the format version outlives the log file. A store that
		// loses its log is then a store without a tail, not an empty one.
		if err := l.db.Flush(); err != nil {
			return l.openError(err)
		}
	}
	return nil
}

func (l *Log) newerFormat(format uint64) error {
	return fmt.Errorf("cannot open data folder %q: it has format version %d, this program reads versions up to %d: start a newer cowrelay", l.dir, format, formatVersion)
}

// meta reads one of the store's own numbers, 0 if it is not there.
func (l *Log) meta(key []byte) (uint64, error) {
	v, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, l.corrupt(err, "the key %s can't be read", key)
	}
	defer closer.Close()
	x, err := decodeMeta(v)
	if err != nil || x == 0 {
		return 0, l.corrupt(errDecode, "the key %s", key)
	}
	return x, nil
}

// checkEmpty finds a store that lost its format version or was not made by us.
func (l *Log) checkEmpty() error {
	it, err := l.db.NewIter(nil)
	if err != nil {
		return l.corrupt(err, "the store can't be read")
	}
	defer it.Close()
	if it.First() {
		return l.corrupt(nil, "the store holds keys but no format version")
	}
	if err := it.Error(); err != nil {
		return l.corrupt(err, "the store can't be read")
	}
	return nil
}

// Close implements cow.Journal. It makes everything durable, in all modes. All that
// the log holds is then in tables too, unless the disk is full or slow.
func (l *Log) Close() error {
	close(l.stop)
	l.wg.Wait()
	l.writeCounted()
	l.dirty.Store(true)
	l.sync()
	l.emptyLog()
	return errors.Join(l.batch.Close(), l.closeStore())
}

func (l *Log) closeStore() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot close data folder %q: pebble panicked: %v", l.dir, p)
		}
	}()
	if err := errors.Join(l.db.Close(), l.unlockStore()); err != nil {
		return fmt.Errorf("cannot close data folder %q: %w", l.dir, err)
	}
	return nil
}
