package pebblelog

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Sync says when a commit becomes durable.
type Sync uint8

const (
	// Always: before Commit, Put and Delete return. The default.
	Always Sync = iota
	// Interval: within Options.Interval. A crash of the process or of the
	// machine loses what was acknowledged since the last sync.
	Interval
	// Off: when the system writes it back or a flush does. A crash loses any tail
	// that was not flushed.
	Off
)

var syncNames = [...]string{Always: "always", Interval: "interval", Off: "off"}

// String returns the name that ParseSync reads.
func (s Sync) String() string {
	if int(s) < len(syncNames) {
		return syncNames[s]
	}
	return fmt.Sprintf("Sync(%d)", uint8(s))
}

// ParseSync reads "always", "interval" or "off".
func ParseSync(s string) (Sync, error) {
	for i, name := range syncNames {
		if s == name {
			return Sync(i), nil
		}
	}
	return 0, fmt.Errorf("cannot parse sync mode %q: it is always, interval or off", s)
}

// Bounds and defaults of Options, in bytes and time.
const (
	DefaultInterval      = 100 * time.Millisecond
	DefaultCacheBytes    = 32 << 20
	DefaultMemTableBytes = 16 << 20
	// MinMemTableBytes is for small machines and tests. A batch above half a
	// memtable is stored as well, but by a flush of its own. The largest batch
	// of a commit loop has 4 MiB.
	MinMemTableBytes = 1 << 20
	DefaultOpenFiles = 384
	// MinOpenFiles is enough to write, flush, compact and load.
	MinOpenFiles = 28
	// fewFiles is where the store begins to save descriptors.
	fewFiles = 256
)

// Options of Open. The zero value means the defaults.
type Options struct {
	// Sync mode. Default Always.
	Sync Sync
	// Interval between two syncs in mode Interval. Default 100 ms.
	Interval time.Duration
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
	// process has none left. It should free one. It must not call the Log.
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
	// Fatal is called once, on a goroutine of its own, when a write or a sync
	// failed: what is durable is unknown then, and a failed fsync can't be
	// retried. It should end the process. From then on every call that waits for
	// the store waits for ever, and nothing is acknowledged. Default: log what
	// failed and what to do, Exit(1).
	Fatal func(error)
	// Exit ends the process for the default Fatal: a log may have to be written
	// out first. Default os.Exit.
	Exit func(code int)
	// Observe is called after each write to the log with the time it took
	// (in mode Always with its sync) and the size of its batch in bytes.
	// It must be fast and must not call the Log. Default none.
	Observe func(took time.Duration, bytes int)
}

func (o *Options) ensureDefaults() {
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
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
