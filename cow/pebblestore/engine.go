package pebblestore

import (
	"errors"
	"log/slog"
	"runtime"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// stopWrites is the number of memtables that may wait for their flush
	// before Apply waits too.
	stopWrites = 2
	// memTables is the highest number of memtables that exist at once: those
	// that wait, and one that is kept for the next rotation.
	memTables = stopWrites + 1
	// blockSize of tables. Small events compress together, and a load reads
	// whole blocks anyway.
	blockSize = 32 << 10
	// fixedBytes covers what the sizes below don't: buffers of one running
	// compaction, open tables, the batch of Apply.
	fixedBytes = 24 << 20
)

// MemoryBytes bounds the memory of a store with these options: blocks in the
// cache, three memtables, and 24 MiB of buffers. Each running Load takes 0.5 MiB
// more. Built with cgo, the program keeps the cache
// and the memtables outside of the Go heap, where GOMEMLIMIT doesn't see them.
func (o Options) MemoryBytes() int64 {
	o.ensureDefaults()
	return o.CacheBytes + memTables*o.MemTableBytes + fixedBytes
}

func (s *Store) pebbleOptions() *pebble.Options {
	files := s.opts.files()
	o := &pebble.Options{
		FS: s.opts.FS,
		// Pebble takes memtables out of the cache's size.
		CacheSize:                   s.opts.CacheBytes + memTables*s.opts.MemTableBytes,
		MemTableSize:                uint64(s.opts.MemTableBytes),
		MemTableStopWritesThreshold: stopWrites,
		// What a store applies stands in the relay's log.
		DisableWAL: true,
		// The store shares two cores with the relay. So it runs one compaction
		// at a time, and a second one when tables pile up. Writes wait late, at
		// 24 layers: when Apply waits, the backlog fills, and then commits wait
		// too. Reads stay correct meanwhile, only slower.
		CompactionConcurrencyRange: func() (int, int) { return 1, files.compactions },
		L0CompactionThreshold:      files.compactAt,
		L0StopWritesThreshold:      files.stopAt,
		// Flushes and compactions write back steadily, so that the sync of a
		// commit does not wait behind 64 MB of their pages.
		BytesPerSync: 512 << 10,
		// The highest format that needs no value separation.
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             pebbleLogger{s},
		EventListener:      s.listener(),
	}
	files.limit(s, o)
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockSize
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		// No filters: a key that is looked up is nearly always there.
		o.Levels[i].FilterPolicy = pebble.NoFilterPolicy
	}
	if o.FS == nil {
		o.FS = privateFS{vfs.Default}
		o.WithFSDefaults() // reports slow disks
	}
	o.FS = folderFS{patientFS{o.FS, s}, s}
	return o
}

// listener notes that flushes end, and counts what goes wrong in the background. Nothing of that is fatal by
// itself: a failed flush or compaction is tried again, and a damaged table fails
// only the loads that need it.
func (s *Store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		FlushEnd: func(pebble.FlushInfo) { s.flushed.Store(true) },
		BackgroundError: func(err error) {
			s.background.Add(1)
			s.lastError.Store(&err)
			do := "check the disk"
			if errors.Is(err, syscall.ENOSPC) {
				do = "make room on the disk; the store tries again"
			}
			s.backgroundLog.log(s.opts.Logger, slog.LevelError, "a flush or compaction failed", "error", err, "folder", s.dir, "do", do)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.corruptions.Add(1)
			s.corruptLog.log(s.opts.Logger, slog.LevelError, "a file of the store is damaged", "file", info.Path, "error", info.Details,
				"do", "restore the data folder from a backup; slots that don't need the file go on")
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			s.slow.Add(1)
			s.slowLog.log(s.opts.Logger, slog.LevelWarn, "the disk is slow", "what", info.String(), "do", "check the disk and who else uses it")
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.stalls.Add(1)
			s.stallLog.log(s.opts.Logger, slog.LevelWarn, "the store waits for flushes or compactions", "reason", info.Reason, "do", "check free space and speed of the disk")
		},
	}
}

// files says how the store keeps to Options.OpenFiles descriptors. Tables that were
// read stay open in a cache. Each reader, a load or a compaction, opens more for a
// while: a table of each layer, and a second descriptor for each table that it
// reads from end to end, so that the system reads ahead. So with few descriptors
// there are few layers and few readers.
type files struct {
	tables      int  // in the cache
	compactAt   int  // layers
	stopAt      int  // layers at which writes wait
	compactions int  // at once
	few         bool // there are few descriptors
}

// otherFiles are the locks, the folder once for each part of Pebble, the manifest
// with its successor, the log, and the tables that are being written.
const otherFiles = 13

func (o Options) files() files {
	if o.OpenFiles < fewFiles {
		return files{tables: o.OpenFiles - otherFiles - 8, compactAt: 2, stopAt: 6, compactions: 1, few: true}
	}
	return files{tables: o.OpenFiles - 128, compactAt: 4, stopAt: 24, compactions: 2}
}

// cache returns a cache for the open tables. Without it Pebble keeps at least 64 of
// them open, whatever its options say.
func (f files) cache() *pebble.FileCache {
	return pebble.NewFileCache(max(min(runtime.GOMAXPROCS(0), f.tables/32), 1), f.tables)
}

// limit bounds the readers where descriptors are few: one descriptor a table, a
// bounded number of tables, one load at a time.
func (f files) limit(s *Store, o *pebble.Options) {
	if f.few {
		s.loading = make(chan struct{}, 1)
		s.readers = newReaders(s.opts.OpenFiles - otherFiles)
		o.Local.ReadaheadConfig = objstorageprovider.NewReadaheadConfig()
		o.Local.ReadaheadConfig.Set(objstorageprovider.SysReadahead, objstorageprovider.SysReadahead)
	}
}

// enterLoad waits until no other load runs, if only one may run at a time.
func (s *Store) enterLoad() (leave func()) {
	if s.loading == nil {
		return func() {}
	}
	s.loading <- struct{}{}
	return func() { <-s.loading }
}
