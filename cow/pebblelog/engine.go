package pebblelog

import (
	"errors"
	"log/slog"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// stopWrites is the number of memtables that may wait for their flush
	// before writes wait too.
	stopWrites = 2
	// memTables is the highest number of memtables that exist at once: those
	// that wait, and one that is kept for the next rotation.
	memTables = stopWrites + 1
	// blockSize of tables. Small events compress together, and a load reads
	// whole blocks anyway.
	blockSize = 32 << 10
	// fixedBytes covers what the sizes below don't: buffers of the log and of
	// one running compaction, open tables, the commit batch.
	fixedBytes = 24 << 20
)

// MemoryBytes bounds what the store takes with these options: blocks in the
// cache, three memtables, and 24 MiB of buffers. Each running Load takes 0.5
// MiB more, and each slot some 40 bytes. The first two lie outside of the Go heap where the program is
// built with cgo, so GOMEMLIMIT doesn't see them.
func (o Options) MemoryBytes() int64 {
	o.ensureDefaults()
	return o.CacheBytes + memTables*o.MemTableBytes + fixedBytes
}

func (l *Log) pebbleOptions() *pebble.Options {
	files := l.opts.files()
	o := &pebble.Options{
		FS: l.opts.FS,
		// Pebble takes memtables out of the cache's size.
		CacheSize:                   l.opts.CacheBytes + memTables*l.opts.MemTableBytes,
		MemTableSize:                uint64(l.opts.MemTableBytes),
		MemTableStopWritesThreshold: stopWrites,
		// Two cores are shared with the relay: one compaction at a time, and a
		// second one when tables pile up. Writes wait only when it comes to 24
		// layers, late, because a commit that waits is a relay that answers
		// 503; reads stay correct, only slower.
		CompactionConcurrencyRange: func() (int, int) { return 1, files.compactions },
		L0CompactionThreshold:      files.compactAt,
		L0StopWritesThreshold:      files.stopAt,
		// Flushes and compactions write back steadily, so that a commit's sync
		// does not wait behind 64 MB of somebody else's pages. The log is
		// synced by its commits; in the other modes this bounds what is
		// written back at once.
		BytesPerSync:    512 << 10,
		WALBytesPerSync: 512 << 10,
		// The highest format that needs no value separation. Its log tells a
		// torn tail from damage in the middle.
		FormatMajorVersion: pebble.FormatTableFormatV6,
		Logger:             pebbleLogger{l},
		EventListener:      l.listener(),
	}
	files.limit(l, o)
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockSize
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		// No filters: what is looked up is nearly always there.
		o.Levels[i].FilterPolicy = pebble.NoFilterPolicy
	}
	if o.FS == nil {
		o.FS = privateFS{vfs.Default}
		o.WithFSDefaults() // reports slow disks
	}
	o.FS = walFS{patientFS{o.FS, l}, l}
	return o
}

// listener counts what goes wrong behind the commits. None of it is fatal by
// itself: a failed flush or compaction is tried again, and a damaged table
// fails the loads that need it.
func (l *Log) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			l.background.Add(1)
			l.lastError.Store(&err)
			do := "check the disk"
			if errors.Is(err, syscall.ENOSPC) {
				do = "make room on the disk; the store tries again"
			}
			l.backgroundLog.log(l.opts.Logger, slog.LevelError, "a flush or compaction failed", "error", err, "folder", l.dir, "do", do)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			l.corruptions.Add(1)
			l.corruptLog.log(l.opts.Logger, slog.LevelError, "a file of the store is damaged", "file", info.Path, "error", info.Details,
				"do", "restore the data folder from a backup; slots that don't need the file go on")
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			l.slow.Add(1)
			l.slowLog.log(l.opts.Logger, slog.LevelWarn, "the disk is slow", "what", info.String(), "do", "check the disk and who else uses it")
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			l.stalls.Add(1)
			l.stallLog.log(l.opts.Logger, slog.LevelWarn, "writes wait for flushes or compactions", "reason", info.Reason, "do", "check free space and speed of the disk")
		},
	}
}
