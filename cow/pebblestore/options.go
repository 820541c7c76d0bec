package pebblestore

import (
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Bounds and defaults of Options, in bytes and time.
const (
	DefaultCacheBytes    = 32 << 20
	DefaultMemTableBytes = 16 << 20
	// MinMemTableBytes is for small machines and tests. A batch above half a
	// memtable is stored as well, but by a flush of its own.
	MinMemTableBytes = 1 << 20
	DefaultOpenFiles = 384
	// MinOpenFiles is enough to write, flush, compact and load.
	MinOpenFiles = 25
	// fewFiles is where the store begins to save descriptors.
	fewFiles = 256
)

// Options of Open. The zero value means the defaults.
type Options struct {
	// CacheBytes of table blocks kept in memory. Default 32 MiB. See
	// MemoryBytes.
	CacheBytes int64
	// MemTableBytes is the size of one memtable. Default 16 MiB, at least
	// 1 MiB. See MemoryBytes.
	MemTableBytes int64
	// OpenFiles is how many descriptors the store may have open. Default 384, at
	// least MinOpenFiles. With less than 256, compactions come earlier, and
	// compactions and loads run one at a time.
	OpenFiles int
	// NoFiles is called while the store waits for a descriptor because the
	// process has none left. It should free one. It must not call the Store.
	// Default: nothing.
	NoFiles func()
	// FilesPatience is how long an operation waits for that descriptor before it
	// fails. Default 30 s.
	FilesPatience time.Duration
	// FS holds the folder. Default: the real disk, with files 0600.
	FS vfs.FS
	// Logger gets what an operator should know, and Pebble's own lines at debug
	// level. Default slog.Default().
	Logger *slog.Logger
	// Fatal is called once, on a goroutine of its own, when Pebble can't go on, for
	// instance because it can't write its manifest. It should end the process. From
	// then on calls fail or wait for ever. Default: log what failed and what to do,
	// Exit(1).
	Fatal func(error)
	// Exit ends the process for the default Fatal: a log may have to be written
	// out first. Default os.Exit.
	Exit func(code int)
}

func (o *Options) ensureDefaults() {
	if o.CacheBytes <= 0 {
		o.CacheBytes = DefaultCacheBytes
	}
	if o.MemTableBytes <= 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	o.MemTableBytes = max(o.MemTableBytes, MinMemTableBytes)
	if o.OpenFiles <= 0 {
		o.OpenFiles = DefaultOpenFiles
	}
	o.OpenFiles = max(o.OpenFiles, MinOpenFiles)
	if o.FilesPatience <= 0 {
		o.FilesPatience = 30 * time.Second
	}
	if o.NoFiles == nil {
		o.NoFiles = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
}
