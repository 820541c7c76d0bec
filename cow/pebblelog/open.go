package pebblelog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"cowrelay/cow"
)

// formatVersion is the version of keys.go. A store with a higher one was
// written by a newer program.
const formatVersion = 1

// Open opens the store in dir, or makes one where there is nothing.
func Open(dir string, opts Options) (*Log, error) {
	opts.ensureDefaults()
	l := &Log{dir: dir, opts: opts, pending: make(map[cow.ID]pending), stop: make(chan struct{})}
	if l.opts.Fatal == nil {
		l.opts.Fatal = exit(opts.Logger)
	}
	if l.opts.FS == nil {
		l.opts.FS = vfs.Default
	}
	l.records.seed = maphash.MakeSeed()
	db, err := pebble.Open(dir, l.pebbleOptions())
	if err != nil {
		return nil, fmt.Errorf("cannot open data folder %q: %w", dir, err)
	}
	l.db = db
	if err := l.readMeta(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	l.batch = db.NewBatch(pebble.WithInitialSizeBytes(64<<10), pebble.WithMaxRetainedSizeBytes(1<<20))
	if l.opts.Sync == Interval {
		l.wg.Go(l.syncLoop)
	}
	return l, nil
}

func (l *Log) pebbleOptions() *pebble.Options {
	return &pebble.Options{
		FS:                 l.opts.FS,
		CacheSize:          l.opts.CacheBytes,
		MemTableSize:       uint64(l.opts.MemTableBytes),
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             pebbleLogger{l},
	}
}

// readMeta checks the format, reads the totals and starts a new epoch of
// record versions.
func (l *Log) readMeta() error {
	format, err := l.meta(metaFormat)
	if err != nil {
		return err
	}
	b := l.db.NewBatch()
	defer b.Close()
	var v [2 * binary.MaxVarintLen64]byte
	switch {
	case format > formatVersion:
		return fmt.Errorf("data folder %q has format version %d, this program reads up to %d: start a newer cowrelay", l.dir, format, formatVersion)
	case format == 0:
		must(b.Set(metaFormat, v[:binary.PutUvarint(v[:], formatVersion)], nil))
	}
	epoch, err := l.meta(metaEpoch)
	if err != nil {
		return err
	}
	epoch++
	l.records.version.Store(epoch << epochShift)
	must(b.Set(metaEpoch, v[:binary.PutUvarint(v[:], epoch)], nil))
	if t, closer, err := l.db.Get(metaTotals); err == nil {
		l.totals.SlotAllocations, l.totals.EventsPosted, err = decodePair(t)
		closer.Close()
		if err != nil {
			return l.corrupt(err, "the totals")
		}
	} else if !errors.Is(err, pebble.ErrNotFound) {
		return l.corrupt(err, "the totals can't be read")
	}
	l.apply(b)
	return nil
}

// meta reads a number; 0 when it is not there.
func (l *Log) meta(key []byte) (uint64, error) {
	v, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, l.corrupt(err, "%s can't be read", key)
	}
	defer closer.Close()
	x, err := decodeMeta(v)
	if err != nil {
		return 0, l.corrupt(err, "%s", key)
	}
	return x, nil
}

// syncLoop is the goroutine of mode Interval. Close stops it.
func (l *Log) syncLoop() {
	t := time.NewTicker(l.opts.Interval)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-t.C:
			l.sync()
		}
	}
}

// sync makes durable what was written before.
func (l *Log) sync() {
	if !l.dirty.Swap(false) {
		return
	}
	b := l.db.NewBatch()
	must(b.LogData(nil, nil))
	if err := l.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		l.die(fmt.Errorf("syncing the log failed: %w", err))
	}
	if err := b.SyncWait(); err != nil {
		l.die(fmt.Errorf("syncing the log failed: %w", err))
	}
	l.syncs.Add(1)
	b.Close()
}

// Close implements cow.Journal. It makes everything durable, in all modes.
func (l *Log) Close() error {
	close(l.stop)
	l.wg.Wait()
	l.dirty.Store(true)
	l.sync()
	if err := l.batch.Close(); err != nil {
		return err
	}
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("cannot close data folder %q: %w", l.dir, err)
	}
	return nil
}
